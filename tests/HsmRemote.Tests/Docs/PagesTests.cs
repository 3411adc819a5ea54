using System.Text.RegularExpressions;
using HsmRemote.Docs.Checks;
using HsmRemote.Docs.Pages;

namespace HsmRemote.Tests.Docs;

/// <summary>That the pages say all that they promise to say.</summary>
public sealed partial class PagesTests
{
    public static TheoryData<string> Cmdlets => [.. ModuleCommands.Read(Checkout.Module).Cmdlets.Keys];

    [Theory]
    [MemberData(nameof(Cmdlets))]
    public void An_exported_cmdlet_has_a_page_with_three_examples(string cmdlet)
    {
        var page = CmdletPageReader.Read(cmdlet, File.ReadAllText(Path.Combine(Checkout.Pages, $"{cmdlet}.md")));
        Assert.True(page.Examples.Count >= 3, $"{cmdlet} has {page.Examples.Count} examples.");
        Assert.All(page.Examples, example => Assert.NotEmpty(example.Remarks));
    }

    [Fact]
    public void The_troubleshooting_page_has_every_cause_and_no_other() =>
        Assert.Equal(Enum.GetNames<P11SocketCause>().Order(StringComparer.Ordinal), Rows("CAUSES").Order(StringComparer.Ordinal));

    [Fact]
    public void The_troubleshooting_page_has_every_ErrorId_and_no_other() =>
        Assert.Equal(SourceErrors.All.Select(error => error.Id).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal), Rows("ERRORS").Order(StringComparer.Ordinal));

    [Fact]
    public void Every_error_says_what_in_a_sentence_and_what_to_do() => Faults.None(
        SourceErrors.All.Where(error => error.Fault is not null).Select(error => $"{error.Place}: {error.Id}: {error.Fault}"));

    [Fact]
    public void Topics_that_are_referred_to_are_there()
    {
        foreach (var page in Directory.EnumerateFiles(Checkout.Pages, "*.md"))
        {
            foreach (Match topic in Topic().Matches(File.ReadAllText(page)))
                Assert.True(File.Exists(Path.Combine(Checkout.Pages, $"{topic.Value}.md")), $"{page}: {topic.Value}");
        }
    }

    /// <summary>The first column of a table of the troubleshooting page.</summary>
    static IEnumerable<string> Rows(string heading)
    {
        var page = File.ReadAllText(Path.Combine(Checkout.Pages, "about_HsmRemote_Troubleshooting.md"));
        var section = page.Split("\n## ").Single(part => part.StartsWith($"{heading}\n", StringComparison.Ordinal));
        // Behind the heads of the columns and the line below them.
        return section.Split('\n').Where(line => line.StartsWith('|')).Skip(2).Select(line => line.Split('|')[1].Trim());
    }

    [GeneratedRegex(@"\babout_HsmRemote\w*", RegexOptions.CultureInvariant, 1000)]
    private static partial Regex Topic();
}
