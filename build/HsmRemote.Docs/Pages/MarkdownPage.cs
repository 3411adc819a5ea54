using System.Text;
using Markdig;
using Markdig.Extensions.Tables;
using Markdig.Extensions.Yaml;
using Markdig.Syntax;
using Markdig.Syntax.Inlines;

namespace HsmRemote.Docs.Pages;

/// <summary>A heading and what is below it, up to the next heading of its level or above.</summary>
sealed record MarkdownSection(string Heading, int Line, IReadOnlyList<Block> Blocks)
{
    /// <summary>The sections within, of a level of headings.</summary>
    internal IReadOnlyList<MarkdownSection> Sections(int level) => MarkdownPage.Split(Blocks, level);

    /// <summary>What comes before the first heading within.</summary>
    internal IEnumerable<Block> Lead => Blocks.TakeWhile(block => block is not HeadingBlock);
}

/// <summary>A Markdown file, as its headings divide it.</summary>
sealed class MarkdownPage
{
    static readonly MarkdownPipeline Pipeline = new MarkdownPipelineBuilder().UseYamlFrontMatter().UsePipeTables().Build();

    readonly MarkdownDocument document;

    internal MarkdownPage(string markdown) => document = Markdown.Parse(markdown, Pipeline);

    /// <summary>The YAML between the first two lines of dashes, or null.</summary>
    internal string? FrontMatter => document.OfType<YamlFrontMatterBlock>().FirstOrDefault()?.Lines.ToString();

    internal IReadOnlyList<MarkdownSection> Sections(int level) => Split([.. document], level);

    internal static IReadOnlyList<MarkdownSection> Split(IReadOnlyList<Block> blocks, int level)
    {
        List<MarkdownSection> sections = [];
        for (var i = 0; i < blocks.Count; i++)
        {
            if (blocks[i] is HeadingBlock heading && heading.Level == level)
            {
                var below = blocks.Skip(i + 1).TakeWhile(block => block is not HeadingBlock next || next.Level > level);
                sections.Add(new(Text(heading.Inline), heading.Line + 1, [.. below]));
            }
        }

        return sections;
    }

    /// <summary>Blocks as paragraphs of plain text. Code and output keep their lines.</summary>
    internal static IReadOnlyList<string> Paragraphs(IEnumerable<Block> blocks)
    {
        List<string> paragraphs = [];
        foreach (var block in blocks)
        {
            switch (block)
            {
                case ParagraphBlock paragraph:
                    paragraphs.Add(Text(paragraph.Inline));
                    break;
                case CodeBlock code:
                    paragraphs.Add(Code(code));
                    break;
                case ListBlock list:
                    paragraphs.AddRange(Items(list).Select(item => $"{item.Bullet} {string.Join("\n\n", Paragraphs(item.Blocks))}"));
                    break;
                default:
                    throw NotForHelp(block);
            }
        }

        return paragraphs;
    }

    internal static IEnumerable<(string Bullet, IReadOnlyList<Block> Blocks)> Items(ListBlock list) =>
        list.OfType<ListItemBlock>().Select(item => (list.IsOrdered ? $"{item.Order}." : "-", (IReadOnlyList<Block>)[.. item]));

    internal static IEnumerable<IReadOnlyList<string>> Rows(Table table) =>
        table.OfType<TableRow>().Select(row => (IReadOnlyList<string>)
            [.. row.OfType<TableCell>().Select(cell => string.Join(' ', Paragraphs(cell)))]);

    internal static string Code(CodeBlock code) => code.Lines.ToString().TrimEnd();

    /// <summary>Inlines as plain text, on one line.</summary>
    internal static string Text(ContainerInline? inlines)
    {
        StringBuilder text = new();
        foreach (var inline in inlines ?? [])
        {
            text.Append(inline switch
            {
                LiteralInline literal => literal.Content.ToString(),
                CodeInline code => Quoted(code.Content),
                LineBreakInline => " ",
                LinkInline link => Text(link),
                EmphasisInline emphasis => Text(emphasis),
                HtmlEntityInline entity => entity.Transcoded.ToString(),
                _ => throw new PageException(
                    $"line {inline.Line + 1}: '{inline}' cannot be shown as plain text; what is meant literally goes into `backticks`."),
            });
        }

        return text.ToString();
    }

    /// <summary>Code of several words is told from the sentence that it stands in by quotes.</summary>
    static string Quoted(string code) => !code.Contains(' ', StringComparison.Ordinal) ? code : code.Contains('\'', StringComparison.Ordinal) ? $"\"{code}\"" : $"'{code}'";

    internal static PageException NotForHelp(Block block) =>
        new($"line {block.Line + 1}: a {block.GetType().Name} cannot be shown as plain text.");
}
