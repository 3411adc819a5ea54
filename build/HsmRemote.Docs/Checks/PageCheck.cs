using System.Management.Automation;
using System.Management.Automation.Language;
using System.Reflection;
using System.Text.RegularExpressions;
using HsmRemote.Docs.Pages;

namespace HsmRemote.Docs.Checks;

/// <summary>Holds the pages against the cmdlets: what differs would be a lie in Get-Help.</summary>
static partial class PageCheck
{
    const int FewestExamples = 3;
    const string ModuleNamespace = "HsmRemote";

    // What Get-Help says of a cmdlet that takes nothing, and of one that takes whatever has the properties.
    const string NoInput = "None";
    const string AnyInput = "System.Object";

    internal static void Check(IReadOnlyList<CmdletPage> pages, IReadOnlyList<string> topics, ModuleCommands exported, Problems problems)
    {
        var files = pages.Select(page => page.Name).Concat(topics).Select(name => $"{name}.md").ToHashSet(StringComparer.Ordinal);
        foreach (var cmdlet in exported.Cmdlets.Keys.Except(pages.Select(page => page.Name), StringComparer.Ordinal))
            problems.Add($"{cmdlet}.md", $"{exported.ModuleName} exports {cmdlet}, and there is no such page.");
        foreach (var page in pages)
        {
            if (exported.Cmdlets.TryGetValue(page.Name, out var cmdlet))
                Check(page, cmdlet, exported, problems);
            else
                problems.Add(page.FileName, $"{exported.ModuleName} exports no cmdlet {page.Name}.");
            foreach (var link in page.Links.Where(link => link.Url.EndsWith(".md", StringComparison.Ordinal)))
            {
                if (!files.Contains(link.Url) || !string.Equals(link.Url, $"{link.Text}.md", StringComparison.Ordinal))
                    problems.Add(page.FileName, $"the related link '{link.Text}' leads to {link.Url}, and has to lead to a page of that name that is there.");
            }
        }
    }

    static void Check(CmdletPage page, CmdletInfo cmdlet, ModuleCommands exported, Problems problems)
    {
        CheckSyntax(page, cmdlet, problems);
        var real = CmdletParameter.Of(cmdlet);
        foreach (var name in real.Keys.Except(page.Parameters.Select(p => p.Name), StringComparer.Ordinal))
            problems.Add(page.FileName, $"the parameter -{name} is missing.");
        foreach (var parameter in page.Parameters)
        {
            if (real.TryGetValue(parameter.Name, out var facts))
                CheckParameter(page, parameter, facts, problems);
            else
                problems.Add(page.FileName, $"{cmdlet.Name} has no parameter -{parameter.Name}.");
        }

        SameNames(page, "the types of OUTPUTS", page.Outputs.Select(o => o.Name), cmdlet.OutputType.Select(o => o.Name), problems);
        CheckInputs(page, cmdlet, problems);
        CheckOutputs(page, cmdlet, problems);
        if (page.Examples.Count < FewestExamples)
            problems.Add(page.FileName, $"it has {page.Examples.Count} examples, and needs {FewestExamples}.");
        foreach (var (index, example) in page.Examples.Index())
        {
            if (!example.Title.StartsWith($"Example {index + 1}: ", StringComparison.Ordinal))
                problems.Add(page.FileName, $"'{example.Title}' has to begin with 'Example {index + 1}: '.");
            if (example.Remarks.Count == 0)
                problems.Add(page.FileName, $"'{example.Title}' says nothing about what comes of it.");
            CheckExample(page, example, exported, problems);
        }
    }

    /// <summary>That INPUTS has what can be piped in as a whole; what is taken by the name of a property may come from anything.</summary>
    static void CheckInputs(CmdletPage page, CmdletInfo cmdlet, Problems problems)
    {
        foreach (var parameter in cmdlet.Parameters.Values.Where(p => p.ParameterSets.Values.Any(set => set.ValueFromPipeline)))
        {
            var type = parameter.ParameterType.IsArray ? parameter.ParameterType.GetElementType()! : parameter.ParameterType;
            if (!page.Inputs.Any(input => string.Equals(input.Name, type.FullName, StringComparison.Ordinal)))
                problems.Add(page.FileName, $"INPUTS lacks {type.FullName}, which -{parameter.Name} takes from the pipeline.");
        }

        foreach (var input in page.Inputs.Where(input => input.Name is not (NoInput or AnyInput) && !IsTaken(input.Name, cmdlet)))
            problems.Add(page.FileName, $"INPUTS has {input.Name}, which no parameter takes, neither as a whole nor by the name of one of its properties.");
    }

    static bool IsTaken(string name, CmdletInfo cmdlet)
    {
        var type = AppDomain.CurrentDomain.GetAssemblies().Select(assembly => assembly.GetType(name)).FirstOrDefault(type => type is not null);
        return type is not null && cmdlet.Parameters.Values.Any(parameter =>
            (parameter.ParameterSets.Values.Any(set => set.ValueFromPipeline) && (parameter.ParameterType == type || parameter.ParameterType.GetElementType() == type))
            || (parameter.ParameterSets.Values.Any(set => set.ValueFromPipelineByPropertyName) && parameter.Aliases.Prepend(parameter.Name).Any(property => type.GetProperty(property) is not null)));
    }

    /// <summary>That OUTPUTS names every property of the module's own types.</summary>
    static void CheckOutputs(CmdletPage page, CmdletInfo cmdlet, Problems problems)
    {
        foreach (var type in cmdlet.OutputType.Select(output => output.Type).Where(type => type.Namespace is ModuleNamespace))
        {
            var words = page.Outputs.Where(output => string.Equals(output.Name, type.FullName, StringComparison.Ordinal))
                .SelectMany(output => output.Description).SelectMany(paragraph => paragraph.Split([.. " ,.;:()"])).ToHashSet(StringComparer.Ordinal);
            var lacking = type.GetProperties(BindingFlags.Public | BindingFlags.Instance).Select(property => property.Name).Except(words, StringComparer.Ordinal).ToList();
            if (lacking.Count > 0)
                problems.Add(page.FileName, $"OUTPUTS does not say that {type.FullName} has: {string.Join(", ", lacking)}.");
        }
    }

    static void CheckSyntax(CmdletPage page, CmdletInfo cmdlet, Problems problems)
    {
        SameNames(page, "the sets of SYNTAX", page.Syntax.Keys, cmdlet.ParameterSets.Select(s => s.Name), problems);
        foreach (var set in cmdlet.ParameterSets)
        {
            var real = $"{cmdlet.Name} {set}";
            if (page.Syntax.TryGetValue(set.Name, out var syntax) && !string.Equals(WhiteSpace().Replace(syntax, " "), real, StringComparison.Ordinal))
                problems.Add(page.FileName, $"the syntax of {set.Name} is: {real}");
        }
    }

    static void CheckParameter(CmdletPage page, PageParameter parameter, CmdletParameter real, Problems problems)
    {
        var facts = parameter.Facts;
        var what = $"-{parameter.Name}:";
        if (parameter.Description.Count == 0)
            problems.Add(page.FileName, $"{what} it has no description.");
        foreach (var word in real.EnumValues.Where(word => !parameter.Description.Any(paragraph => paragraph.Contains(word, StringComparison.Ordinal))))
            problems.Add(page.FileName, $"{what} its description does not say what {word} is.");
        Same(page, $"{what} Type", facts.Type, real.Type, problems);
        Same(page, $"{what} SupportsWildcards", facts.SupportsWildcards, real.SupportsWildcards, problems);
        Same(page, $"{what} DontShow", facts.DontShow, real.DontShow, problems);
        SameNames(page, $"{what} Aliases", facts.Aliases, real.Aliases, problems);
        SameNames(page, $"{what} AcceptedValues", facts.AcceptedValues, real.AcceptedValues, problems);
        // What a cmdlet works out when it runs has no value before: only a page can say it. Of a switch, that it is worked out.
        if (real.DefaultValue is { } value && !(real.IsSwitch && facts.DefaultValue is ""))
            Same(page, $"{what} DefaultValue", facts.DefaultValue, value, problems);

        SameNames(page, $"{what} ParameterSets", facts.ParameterSets.Select(s => s.Name), real.Sets.Select(s => s.Name), problems);
        foreach (var set in real.Sets)
        {
            if (facts.ParameterSets.Find(s => string.Equals(s.Name, set.Name, StringComparison.Ordinal)) is not { } stated)
                continue;
            var where = $"{what} in {set.Name}:";
            Same(page, $"{where} Position", stated.Position, set.Position, problems);
            Same(page, $"{where} IsRequired", stated.IsRequired, set.IsRequired, problems);
            Same(page, $"{where} ValueFromPipeline", stated.ValueFromPipeline, set.ValueFromPipeline, problems);
            Same(page, $"{where} ValueFromPipelineByPropertyName", stated.ValueFromPipelineByPropertyName, set.ValueFromPipelineByPropertyName, problems);
            Same(page, $"{where} ValueFromRemainingArguments", stated.ValueFromRemainingArguments, set.ValueFromRemainingArguments, problems);
        }
    }

    /// <summary>That an example can be read, and gives the module's cmdlets only parameters that they have.</summary>
    static void CheckExample(CmdletPage page, PageExample example, ModuleCommands exported, Problems problems)
    {
        var script = Parser.ParseInput(example.Code, out _, out var errors);
        foreach (var error in errors)
            problems.Add(page.FileName, $"'{example.Title}' is not PowerShell: {error.Message}");
        foreach (var command in script.FindAll(ast => ast is CommandAst, searchNestedScriptBlocks: true).Cast<CommandAst>())
        {
            if (!exported.Cmdlets.TryGetValue(command.GetCommandName() ?? "", out var cmdlet))
                continue;
            foreach (var given in command.CommandElements.OfType<CommandParameterAst>())
            {
                if (!cmdlet.Parameters.ContainsKey(given.ParameterName))
                    problems.Add(page.FileName, $"'{example.Title}' gives {cmdlet.Name} a parameter -{given.ParameterName}, which it has not.");
            }
        }
    }

    static void Same<T>(CmdletPage page, string what, T stated, T real, Problems problems)
    {
        if (!EqualityComparer<T>.Default.Equals(stated, real))
            problems.Add(page.FileName, $"{what} is '{stated}' in the page and '{real}' in the cmdlet.");
    }

    static void SameNames(CmdletPage page, string what, IEnumerable<string> stated, IEnumerable<string> real, Problems problems) =>
        Same(page, what, string.Join(", ", stated.Order(StringComparer.Ordinal)), string.Join(", ", real.Order(StringComparer.Ordinal)), problems);

    [GeneratedRegex(@"\s+", RegexOptions.CultureInvariant, 1000)]
    private static partial Regex WhiteSpace();
}
