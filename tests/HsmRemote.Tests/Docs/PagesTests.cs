using System.Text.RegularExpressions;
using HsmRemote.Docs.Checks;
using HsmRemote.Docs.Pages;

namespace HsmRemote.Tests.Docs;

/// <summary>That the pages say all that they promise to say.</summary>
public sealed partial class PagesTests
{
    /// <summary>The pages, the topics and the README.</summary>
    public static TheoryData<string> Texts => [.. Directory.EnumerateFiles(Checkout.Pages, "*.md").Append(Path.Combine(Checkout.Pages, "../../README.md")).Select(Path.GetFullPath)];

    [Theory]
    [MemberData(nameof(Texts))]
    public void Cmdlets_and_parameters_that_a_text_names_are_there(string file)
    {
        var text = File.ReadAllText(file);
        var cmdlets = Module.Cmdlets.Keys.ToHashSet(StringComparer.Ordinal);
        Assert.All(OurNouns().Matches(text), name => Assert.Contains(name.Value, cmdlets));

        // What follows a cmdlet's name in one line of code is given to it.
        foreach (Match call in Call().Matches(text))
        {
            var own = Module.Cmdlets[call.Groups["cmdlet"].Value].Parameters;
            Assert.All(ParameterName().Matches(call.Groups["rest"].Value), given => Assert.True(own.ContainsKey(given.Groups["name"].Value), $"{call.Value}: {given.Value}"));
        }

        // In prose it has to be one of some cmdlet, or of hsmremote. What other commands are given is theirs.
        HashSet<string> known = [.. Module.Cmdlets.Values.SelectMany(cmdlet => cmdlet.Parameters.Keys), .. Others];
        Assert.All(ParameterName().Matches(OtherCommand().Replace(text, " ")), name => Assert.True(known.Contains(name.Groups["name"].Value), $"{Path.GetFileName(file)}: {name.Value}"));
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

    // hsmremote's own, Read-Host's, and Pester's.
    static readonly string[] Others =
        ["Command", "File", "OutputFormat", "NonInteractive", "NoProfile", "WorkingDirectory", "AsSecureString", "Configuration", "Container", "Data"];

    static readonly ModuleCommands Module = ModuleCommands.Read(Checkout.Module);

    /// <summary>The first column of a table of the troubleshooting page.</summary>
    static IEnumerable<string> Rows(string heading)
    {
        var page = File.ReadAllText(Path.Combine(Checkout.Pages, "about_HsmRemote_Troubleshooting.md"));
        var section = page.Split("\n## ").Single(part => part.StartsWith($"{heading}\n", StringComparison.Ordinal));
        // Behind the heads of the columns and the line below them.
        return section.Split('\n').Where(line => line.StartsWith('|')).Skip(2).Select(line => line.Split('|')[1].Trim());
    }

    [GeneratedRegex(@"\b[A-Z][a-z]+-(P11|Pkcs11)[A-Z]\w*", RegexOptions.CultureInvariant | RegexOptions.ExplicitCapture, 1000)]
    private static partial Regex OurNouns();

    // Up to a pipe, a command within, the end of the statement, of the sentence, or of the code.
    [GeneratedRegex(@"(?<!Get-Help )(?<cmdlet>\b[A-Z][a-z]+-(P11|Pkcs11)[A-Z]\w*)(?<rest> ([^`|;()\n.]|\.(?! ))*)", RegexOptions.CultureInvariant | RegexOptions.ExplicitCapture, 1000)]
    private static partial Regex Call();

    // A block of code, or code in a sentence that has more than one word.
    [GeneratedRegex(@"^```.*?^```|`[^`\n]+ [^`]+`|Get-Help [^\n]*", RegexOptions.CultureInvariant | RegexOptions.Singleline | RegexOptions.Multiline, 1000)]
    private static partial Regex OtherCommand();

    [GeneratedRegex(@"(?<![\w\-/'.:])-(?<name>[A-Z][a-z]\w+)\b", RegexOptions.CultureInvariant | RegexOptions.ExplicitCapture, 1000)]
    private static partial Regex ParameterName();

    [GeneratedRegex(@"\babout_HsmRemote\w*", RegexOptions.CultureInvariant, 1000)]
    private static partial Regex Topic();
}
