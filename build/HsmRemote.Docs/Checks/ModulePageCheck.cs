using HsmRemote.Docs.Pages;

namespace HsmRemote.Docs.Checks;

/// <summary>Holds the module's page, an index of its cmdlets, against their pages.</summary>
static class ModulePageCheck
{
    internal static void Check(string file, IReadOnlyList<CmdletPage> pages, Problems problems)
    {
        var name = Path.GetFileName(file);
        if (!File.Exists(file))
        {
            problems.Add(name, "the module has no page.");
            return;
        }

        var entries = new MarkdownPage(File.ReadAllText(file)).Sections(3).ToDictionary(
            section => section.Heading, section => string.Join(' ', MarkdownPage.Paragraphs(section.Blocks)), StringComparer.Ordinal);
        foreach (var page in pages)
        {
            if (!entries.Remove(page.Name, out var synopsis))
                problems.Add(name, $"{page.Name} is missing.");
            else if (!string.Equals(synopsis, page.Synopsis, StringComparison.Ordinal))
                problems.Add(name, $"{page.Name} is '{synopsis}' here and '{page.Synopsis}' in its page.");
        }

        foreach (var entry in entries.Keys)
            problems.Add(name, $"there is no page {entry}.md.");
    }
}
