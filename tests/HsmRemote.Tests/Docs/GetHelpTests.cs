using System.Collections;
using System.Globalization;
using System.Management.Automation;
using HsmRemote.Docs.Checks;
using HsmRemote.Docs.Pages;
using HsmRemote.Tests.Module;
using HsmRemote.Tests.Shell;

namespace HsmRemote.Tests.Docs;

/// <summary>That Get-Help finds the published help, has in it what the cmdlets are, and shows it as a person can read it.</summary>
public sealed class GetHelpTests(Engine engine)
{
    // What Markdown means something by, outside of code and output.
    static readonly string[] Markup = ["`", "**", "](", "<br", "&lt;", "&gt;", "&amp;", "\\|", "\\*"];

    static readonly ModuleCommands Module = ModuleCommands.Read(Checkout.Module);

    static string Shell { get; } = Path.Combine(Checkout.Shell, "hsmremote");

    public static TheoryData<string> Cmdlets => [.. Module.Cmdlets.Keys];

    public static TheoryData<string> Topics => [.. Directory.EnumerateFiles(Checkout.Pages, "about_*.md").Select(file => Path.GetFileNameWithoutExtension(file))];

    [Theory]
    [MemberData(nameof(Cmdlets))]
    public void Every_parameter_is_there_as_the_cmdlet_has_it_with_its_description(string cmdlet)
    {
        var page = Page(cmdlet);
        var real = CmdletParameter.Of(Module.Cmdlets[cmdlet]);
        var parameters = Items(Help(cmdlet, "-Full"), "parameters", "parameter");
        Assert.Equal(real.Keys.Order(StringComparer.OrdinalIgnoreCase), parameters.Select(p => Text(p, "name")).Order(StringComparer.OrdinalIgnoreCase));
        foreach (var parameter in parameters)
        {
            var name = Text(parameter, "name");
            var facts = real[name];
            var sets = facts.Sets;
            var pipeline = string.Join(", ", new[] { (sets.Any(s => s.ValueFromPipeline), "ByValue"), (sets.Any(s => s.ValueFromPipelineByPropertyName), "ByPropertyName") }
                .Where(way => way.Item1).Select(way => way.Item2));
            var position = string.Join(", ", sets.Select(s => s.Position is ParameterSetFacts.Named ? "named" : s.Position).Distinct(StringComparer.Ordinal));
            Assert.Equal(
                (facts.Type.Split('.')[^1], sets.All(s => s.IsRequired), position, pipeline.Length == 0 ? "False" : $"True ({pipeline})",
                    facts.SupportsWildcards, facts.Aliases.Count == 0 ? "none" : string.Join(", ", facts.Aliases)),
                (Text(Property(parameter, "type"), "name"), bool.Parse(Text(parameter, "required")), Text(parameter, "position"), Text(parameter, "pipelineInput"),
                    bool.Parse(Text(parameter, "globbing")), Text(parameter, "aliases")));
            var stated = page.Parameters.Single(p => p.Name.Equals(name, StringComparison.Ordinal));
            Assert.Equal(stated.Facts.DefaultValue is { Length: > 0 } value ? value : "None", Text(parameter, "defaultValue"));
            Assert.Equal(stated.Description, Paragraphs(parameter, "description"));

            // The same one alone, as a person asks for it.
            var alone = Assert.Single(engine.Run($"Get-Help {cmdlet} -Parameter {name}").Check());
            Assert.Equal(Paragraphs(parameter, "description"), Paragraphs(alone, "description"));
        }
    }

    [Theory]
    [MemberData(nameof(Cmdlets))]
    public void Every_example_is_there_with_its_code_and_its_remarks(string cmdlet)
    {
        var page = Page(cmdlet);
        var examples = Items(Help(cmdlet, "-Examples"), "examples", "example");
        Assert.Equal(page.Examples.Count, examples.Count);
        foreach (var (stated, shown) in page.Examples.Zip(examples))
        {
            Assert.Contains(stated.Title, Text(shown, "title"), StringComparison.Ordinal);
            Assert.Equal(stated.Code, Text(shown, "code"));
            Assert.Equal(stated.Remarks, Paragraphs(shown, "remarks"));
        }
    }

    [Theory]
    [MemberData(nameof(Cmdlets))]
    public void Nothing_of_the_markup_is_left(string cmdlet)
    {
        var help = Help(cmdlet, "-Full");
        var page = Page(cmdlet);
        List<string> prose =
        [
            Text(help, "Synopsis"), .. Paragraphs(help, "description"), .. page.Examples.SelectMany(example => example.Remarks).Where(remark => !remark.Contains('\n', StringComparison.Ordinal)),
            .. Items(help, "parameters", "parameter").SelectMany(parameter => Paragraphs(parameter, "description")),
            .. page.Inputs.Concat(page.Outputs).SelectMany(type => type.Description), .. page.Notes,
        ];
        foreach (var mark in Markup)
            Assert.DoesNotContain(prose, text => text.Contains(mark, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(80)]
    [InlineData(120)]
    public async Task It_is_shown_in_the_width_that_there_is_and_breaks_lines_between_words(int width)
    {
        var cmdlets = string.Join(',', Module.Cmdlets.Keys.Select(cmdlet => $"'{cmdlet}'"));
        var help = await GetHelpAsync($"{cmdlets} | ForEach-Object {{ Get-Help $_ -Full; Get-Help $_ -Examples; Get-Help $_ -Parameter * }}", width);
        // The engine's own text, which it does not wrap, is shorter too.
        Assert.All(help.Split('\n'), line => Assert.InRange(line.Length, 0, width));
        var words = help.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries).ToHashSet(StringComparer.Ordinal);
        foreach (var page in Module.Cmdlets.Keys.Select(Page))
        {
            var prose = page.Description.Concat(page.Parameters.SelectMany(p => p.Description)).Concat(page.Notes).Append(page.Synopsis);
            Assert.All(prose.SelectMany(p => p.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)), word => Assert.Contains(word, words));
        }
    }

    [Theory]
    [MemberData(nameof(Topics))]
    public async Task It_shows_the_topics(string topic) =>
        Assert.StartsWith($"TOPIC\n    {topic}\n", await GetHelpAsync($"Get-Help {topic}", 80), StringComparison.Ordinal);

    static CmdletPage Page(string cmdlet) => CmdletPageReader.Read(cmdlet, File.ReadAllText(Path.Combine(Checkout.Pages, $"{cmdlet}.md")));

    PSObject Help(string cmdlet, string view) => Assert.Single(engine.Run($"Get-Help {cmdlet} {view}").Check());

    static PSObject Property(PSObject help, string name) => PSObject.AsPSObject(help.Properties[name].Value);

    static string Text(PSObject help, string name) => Convert.ToString(help.Properties[name].Value, CultureInfo.InvariantCulture)!;

    /// <summary>The engine gives one as it is, and several as an array.</summary>
    static List<PSObject> Items(PSObject help, string group, string item) => [.. Several(Property(help, group).Properties[item].Value).Select(PSObject.AsPSObject)];

    /// <summary>Without the ends of lines that keep them apart, and the empty one that keeps two examples apart.</summary>
    static List<string> Paragraphs(PSObject help, string name) =>
        [.. Several(help.Properties[name].Value).Select(paragraph => Text(PSObject.AsPSObject(paragraph), "Text").TrimEnd('\n')).Where(text => text.Length > 0)];

    static IEnumerable<object> Several(object? value) => value switch
    {
        null => [],
        PSObject { BaseObject: IEnumerable inner and not string } => inner.Cast<object>(),
        IEnumerable several and not string => several.Cast<object>(),
        _ => [value],
    };

    static async Task<string> GetHelpAsync(string command, int width)
    {
        using var process = ShellProcess.Start(Shell, ["-NoProfile", "-NonInteractive", "-Command", command], columns: width.ToString(CultureInfo.InvariantCulture));
        process.StandardInput.Close();
        var result = await ShellProcess.FinishAsync(process);
        Assert.Equal((0, ""), (result.ExitCode, result.Error));
        return result.Output;
    }
}
