using System.Xml.Linq;
using HsmRemote.Docs.Pages;

namespace HsmRemote.Docs.Output;

/// <summary>Writes the help that Get-Help reads (MAML) from pages that have been found right.</summary>
static class MamlWriter
{
    static readonly XNamespace Help = "http://msh";
    static readonly XNamespace Maml = "http://schemas.microsoft.com/maml/2004/10";
    static readonly XNamespace Command = "http://schemas.microsoft.com/maml/dev/command/2004/10";
    static readonly XNamespace Dev = "http://schemas.microsoft.com/maml/dev/2004/10";

    internal static XDocument Write(IEnumerable<CmdletPage> pages) => new(
        new XElement(
            Help + "helpItems",
            new XAttribute("schema", "maml"),
            pages.Select(Cmdlet)));

    static XElement Cmdlet(CmdletPage page) => new(
        Command + "command",
        new XAttribute(XNamespace.Xmlns + "maml", Maml),
        new XAttribute(XNamespace.Xmlns + "command", Command),
        new XAttribute(XNamespace.Xmlns + "dev", Dev),
        new XElement(
            Command + "details",
            new XElement(Command + "name", page.Name),
            new XElement(Command + "verb", page.Name.Split('-')[0]),
            new XElement(Command + "noun", page.Name.Split('-')[1]),
            Description([page.Synopsis])),
        Description(page.Description),
        new XElement(Command + "syntax", page.Syntax.Keys.Select(set => SyntaxItem(page, set))),
        new XElement(Command + "parameters", page.Parameters.OrderBy(p => p.Name, StringComparer.Ordinal).Select(p => Parameter(p, InAnySet(p.Facts.ParameterSets), inSyntax: false))),
        new XElement(Command + "inputTypes", page.Inputs.Select(type => Type("inputType", type))),
        new XElement(Command + "returnValues", page.Outputs.Select(type => Type("returnValue", type))),
        new XElement(Maml + "alertSet", new XElement(Maml + "alert", Paragraphs(page.Notes))),
        new XElement(Command + "examples", page.Examples.Select(Example)),
        new XElement(Command + "relatedLinks", page.Links.Select(Link)));

    static XElement SyntaxItem(CmdletPage page, string set) => new(
        Command + "syntaxItem",
        new XElement(Maml + "name", page.Name),
        page.Parameters
            .Select(parameter => (Parameter: parameter, Facts: parameter.Facts.ParameterSets.Find(
                s => s.Name is ParameterSetFacts.All || string.Equals(s.Name, set, StringComparison.Ordinal))))
            .Where(pair => pair.Facts is not null)
            // The page has its parameters by name; the line of syntax has them as the engine does.
            .OrderBy(pair => page.Syntax[set].IndexOf($"-{pair.Parameter.Name}", StringComparison.Ordinal))
            .Select(pair => Parameter(pair.Parameter, pair.Facts!, inSyntax: true)));

    static XElement Parameter(PageParameter parameter, ParameterSetFacts set, bool inSyntax)
    {
        var isSwitch = parameter.Facts.Type is "System.Management.Automation.SwitchParameter";
        var typeName = ShortTypeName(parameter.Facts.Type);
        return new XElement(
            Command + "parameter",
            new XAttribute("required", set.IsRequired),
            new XAttribute("variableLength", parameter.Facts.Type.EndsWith("[]", StringComparison.Ordinal)),
            new XAttribute("globbing", parameter.Facts.SupportsWildcards),
            new XAttribute("pipelineInput", PipelineInput(set)),
            new XAttribute("position", set.Position.Replace(ParameterSetFacts.Named, "named", StringComparison.Ordinal)),
            new XAttribute("aliases", parameter.Facts.Aliases.Count == 0 ? "none" : string.Join(", ", parameter.Facts.Aliases)),
            new XElement(Maml + "name", parameter.Name),
            Description(parameter.Description),
            // In a line of syntax, a switch stands alone.
            isSwitch && inSyntax
                ? null
                : new XElement(Command + "parameterValue", new XAttribute("required", !isSwitch), new XAttribute("variableLength", value: false), typeName),
            new XElement(Dev + "type", new XElement(Maml + "name", typeName), new XElement(Maml + "uri")),
            new XElement(Dev + "defaultValue", parameter.Facts.DefaultValue.Length == 0 ? "None" : parameter.Facts.DefaultValue));
    }

    /// <summary>What holds for a parameter when nothing is said of the set.</summary>
    static ParameterSetFacts InAnySet(IReadOnlyList<ParameterSetFacts> sets) => new()
    {
        IsRequired = sets.All(set => set.IsRequired),
        Position = string.Join(", ", sets.Select(set => set.Position).Distinct(StringComparer.Ordinal)),
        ValueFromPipeline = sets.Any(set => set.ValueFromPipeline),
        ValueFromPipelineByPropertyName = sets.Any(set => set.ValueFromPipelineByPropertyName),
    };

    static string PipelineInput(ParameterSetFacts set)
    {
        List<string> ways = [];
        if (set.ValueFromPipeline)
            ways.Add("ByValue");
        if (set.ValueFromPipelineByPropertyName)
            ways.Add("ByPropertyName");
        return ways.Count == 0 ? "False" : $"True ({string.Join(", ", ways)})";
    }

    static string ShortTypeName(string type) => type[(type.LastIndexOf('.') + 1)..];

    static XElement Type(string element, PageType type) => new(
        Command + element,
        new XElement(Dev + "type", new XElement(Maml + "name", type.Name)),
        Description(type.Description));

    static XElement Example(PageExample example) => new(
        Command + "example",
        // Get-Help sets nothing between two examples, and makes no heading of a title.
        new XElement(Maml + "title", $"-------- {example.Title} --------"),
        // What is typed is told from what is written by it.
        new XElement(Maml + "introduction", new XElement(Maml + "para", "PS> ")),
        new XElement(Dev + "code", example.Code),
        new XElement(Dev + "remarks", Paragraphs([.. example.Remarks, ""])));

    static XElement Link(PageLink link) => new(
        Maml + "navigationLink",
        new XElement(Maml + "linkText", link.Text),
        // A page beside this one is no address: Get-Help finds it by its name.
        new XElement(Maml + "uri", link.Url.EndsWith(".md", StringComparison.Ordinal) ? "" : link.Url));

    static XElement Description(IReadOnlyList<string> paragraphs) => new(Maml + "description", Paragraphs(paragraphs));

    static IEnumerable<XElement> Paragraphs(IEnumerable<string> paragraphs) => paragraphs.Select(text => new XElement(Maml + "para", text));
}
