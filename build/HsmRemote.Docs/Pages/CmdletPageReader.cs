using Markdig.Syntax;
using Markdig.Syntax.Inlines;
using YamlDotNet.Core;
using YamlDotNet.Serialization;

namespace HsmRemote.Docs.Pages;

/// <summary>Reads the page of a cmdlet, and says where it is not of the form that PlatyPS reads.</summary>
static class CmdletPageReader
{
    /// <summary>The heading of the parameters that the engine gives every cmdlet, and documents itself.</summary>
    internal const string CommonParameters = "CommonParameters";

    const string SchemaVersion = "2024-05-01";

    static readonly string[] Headings =
        ["SYNOPSIS", "SYNTAX", "ALIASES", "DESCRIPTION", "EXAMPLES", "PARAMETERS", "INPUTS", "OUTPUTS", "NOTES", "RELATED LINKS"];

    static readonly IDeserializer Yaml = new DeserializerBuilder().Build();

    internal static CmdletPage Read(string name, string markdown)
    {
        var page = new MarkdownPage(markdown);
        CheckFrontMatter(name, page);
        if (page.Sections(1) is not [var body] || !string.Equals(body.Heading, name, StringComparison.Ordinal))
            throw new PageException($"the one heading of level 1 has to be '{name}'.");
        var sections = body.Sections(2);
        if (!sections.Select(s => s.Heading).SequenceEqual(Headings, StringComparer.Ordinal))
            throw new PageException($"the headings of level 2 have to be: {string.Join(", ", Headings)}. They are: {string.Join(", ", sections.Select(s => s.Heading))}.");
        MarkdownSection Section(string heading) => sections.First(s => string.Equals(s.Heading, heading, StringComparison.Ordinal));

        return new CmdletPage
        {
            Name = name,
            Synopsis = MarkdownPage.Paragraphs(Section("SYNOPSIS").Blocks) is [var synopsis]
                ? synopsis : throw new PageException("SYNOPSIS has to be one paragraph."),
            Syntax = Section("SYNTAX").Sections(3).ToDictionary(s => s.Heading, OneCodeBlock, StringComparer.Ordinal),
            Description = MarkdownPage.Paragraphs(Section("DESCRIPTION").Blocks),
            Examples = [.. Section("EXAMPLES").Sections(3).Select(Example)],
            Parameters = [.. Section("PARAMETERS").Sections(3).Where(s => s.Heading is not CommonParameters).Select(Parameter)],
            Inputs = Types(Section("INPUTS")),
            Outputs = Types(Section("OUTPUTS")),
            Notes = MarkdownPage.Paragraphs(Section("NOTES").Blocks),
            Links = [.. Section("RELATED LINKS").Blocks.SelectMany(block => block.Descendants<LinkInline>()).Select(link => new PageLink(MarkdownPage.Text(link), link.Url ?? ""))],
        };
    }

    static void CheckFrontMatter(string name, MarkdownPage page)
    {
        var matter = Deserialize<Dictionary<string, string?>>(page.FrontMatter ?? throw new PageException("it has no front matter."), "the front matter");
        Dictionary<string, string> needed = new(StringComparer.Ordinal)
        {
            ["document type"] = "cmdlet",
            ["title"] = name,
            ["Module Name"] = "HsmRemote",
            ["external help file"] = "HsmRemote.dll-Help.xml",
            ["PlatyPS schema version"] = SchemaVersion,
        };
        foreach (var (key, value) in needed)
        {
            if (!string.Equals(matter.GetValueOrDefault(key), value, StringComparison.Ordinal))
                throw new PageException($"the front matter has to have '{key}: {value}'.");
        }
    }

    static string OneCodeBlock(MarkdownSection section) =>
        section.Blocks is [CodeBlock code] ? MarkdownPage.Code(code) : throw new PageException($"line {section.Line}: '{section.Heading}' has to be one code block.");

    static PageExample Example(MarkdownSection section)
    {
        var code = section.Blocks.OfType<FencedCodeBlock>().FirstOrDefault(block => block.Info is "powershell")
            ?? throw new PageException($"line {section.Line}: '{section.Heading}' has no block of ```powershell.");
        var output = section.Blocks.OfType<FencedCodeBlock>().FirstOrDefault(block => block.Info is "output");
        return new(
            section.Heading, MarkdownPage.Code(code), output is null ? null : MarkdownPage.Code(output),
            MarkdownPage.Paragraphs(section.Blocks.Where(block => block != code)));
    }

    static PageParameter Parameter(MarkdownSection section)
    {
        if (!section.Heading.StartsWith('-') || section.Blocks.ToArray() is not [.. var description, FencedCodeBlock { Info: "yaml" } yaml])
            throw new PageException($"line {section.Line}: '{section.Heading}' has to be -Name, with a description and then a block of ```yaml.");
        return new(section.Heading[1..], MarkdownPage.Paragraphs(description), Deserialize<ParameterFacts>(MarkdownPage.Code(yaml), section.Heading));
    }

    static List<PageType> Types(MarkdownSection section) => [.. section.Sections(3).Select(s => new PageType(s.Heading, MarkdownPage.Paragraphs(s.Blocks)))];

    static T Deserialize<T>(string yaml, string what)
    {
        try
        {
            return Yaml.Deserialize<T>(yaml);
        }
        catch (YamlException e)
        {
            throw new PageException($"{what}: line {e.Start.Line} of the YAML: {e.InnerException?.Message ?? e.Message}");
        }
    }
}
