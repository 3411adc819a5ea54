using System.Text;
using HsmRemote.Docs.Pages;
using Markdig.Extensions.Tables;
using Markdig.Syntax;

namespace HsmRemote.Docs.Output;

/// <summary>Writes an about topic as the plain text that Get-Help shows as it is, so that it has to fit any terminal.</summary>
static class AboutTopicWriter
{
    const int Width = 80;
    const int Step = 4;

    internal static string Write(string name, string markdown)
    {
        var page = new MarkdownPage(markdown);
        if (page.Sections(1) is not [var body] || !string.Equals(body.Heading, name, StringComparison.Ordinal))
            throw new PageException($"the one heading of level 1 has to be '{name}'.");
        if (body.Sections(2) is not [{ Heading: "SHORT DESCRIPTION" } synopsis, ..] || MarkdownPage.Paragraphs(synopsis.Blocks) is not [{ Length: <= Width - Step } line])
            throw new PageException($"'SHORT DESCRIPTION' has to come first, and be one paragraph of at most {Width - Step} characters.");

        // Get-Help takes the fifth line for the synopsis.
        StringBuilder text = new($"TOPIC\n    {name}\n\nSHORT DESCRIPTION\n    {line}\n\n");
        foreach (var section in body.Sections(2).Skip(1))
        {
            text.Append(section.Heading.ToUpperInvariant()).Append('\n');
            foreach (var block in section.Blocks)
            {
                if (block is HeadingBlock heading)
                    text.Append(' ', Step / 2).Append(MarkdownPage.Text(heading.Inline)).Append('\n');
                else
                    Append(text, block, Step);
            }
        }

        return text.ToString().TrimEnd('\n') + '\n';
    }

    static void Append(StringBuilder text, Block block, int indent)
    {
        switch (block)
        {
            case ParagraphBlock paragraph:
                AppendWrapped(text, MarkdownPage.Text(paragraph.Inline), new string(' ', indent), new string(' ', indent));
                text.Append('\n');
                break;
            case CodeBlock code:
                foreach (var line in MarkdownPage.Code(code).Split('\n'))
                {
                    if (indent + Step + line.Length > Width)
                        throw new PageException($"line {code.Line + 1}: a line of this code is longer than {Width - Step - indent} characters.");
                    text.Append($"{new string(' ', indent + Step)}{line}".TrimEnd()).Append('\n');
                }

                text.Append('\n');
                break;
            case ListBlock list:
                foreach (var (bullet, blocks) in MarkdownPage.Items(list))
                {
                    var first = new string(' ', indent) + bullet + ' ';
                    AppendWrapped(text, string.Join(' ', MarkdownPage.Paragraphs(blocks)), first, new string(' ', first.Length));
                }

                text.Append('\n');
                break;
            case Table table:
                AppendTable(text, [.. MarkdownPage.Rows(table)], indent);
                break;
            default:
                throw MarkdownPage.NotForHelp(block);
        }
    }

    /// <summary>A row is a block of its own: sentences side by side do not fit into 80 columns.</summary>
    static void AppendTable(StringBuilder text, IReadOnlyList<IReadOnlyList<string>> rows, int indent)
    {
        // Two columns are a word and what it means, which needs no label.
        var labels = rows[0].Count > 2 ? rows[0].Select(label => $"{label}:").ToList() : ["", ""];
        var labelWidth = labels.Skip(1).Max(label => label.Length) is > 0 and var longest ? longest + 1 : 0;
        foreach (var row in rows.Skip(1))
        {
            AppendWrapped(text, row[0], new string(' ', indent), new string(' ', indent));
            foreach (var (label, cell) in labels.Zip(row).Skip(1))
                AppendWrapped(text, cell, new string(' ', indent + Step) + label.PadRight(labelWidth), new string(' ', indent + Step + labelWidth));
            text.Append('\n');
        }
    }

    static void AppendWrapped(StringBuilder text, string paragraph, string first, string others)
    {
        var line = new StringBuilder(first);
        var isEmpty = true;
        foreach (var word in paragraph.Split(' ', StringSplitOptions.RemoveEmptyEntries))
        {
            if (!isEmpty && line.Length + 1 + word.Length > Width)
            {
                text.Append(line).Append('\n');
                line.Clear().Append(others);
                isEmpty = true;
            }

            if (!isEmpty)
                line.Append(' ');
            line.Append(word);
            isEmpty = false;
        }

        text.Append(line).Append('\n');
    }
}
