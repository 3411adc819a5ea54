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
        Assert.Equal(ErrorIds().Order(StringComparer.Ordinal), Rows("ERRORS").Order(StringComparer.Ordinal));

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

    /// <summary>The first argument of every exception that the sources make, or of the helper that makes it.</summary>
    static HashSet<string> ErrorIds()
    {
        HashSet<string> ids = new(StringComparer.Ordinal);
        foreach (var file in Directory.EnumerateFiles(Checkout.Sources, "*.cs", SearchOption.AllDirectories))
        {
            var source = File.ReadAllText(file);
            foreach (Match made in Made().Matches(source))
            {
                if (made.Groups["id"] is { Success: true } id)
                    ids.Add(id.Value);
                else
                    ids.UnionWith(IdsGivenTo(Helper(source[..(made.Index + made.Length)]), source, file));
            }
        }

        return ids;
    }

    /// <summary>The helper in which a source ends: the last method that gives an exception.</summary>
    static string Helper(string source) => Helpers().Matches(source)[^1].Groups["name"].Value;

    static List<string> IdsGivenTo(string helper, string source, string file)
    {
        var ids = Regex.Matches(source, $@"\b{helper}\(\s*""(?<id>\w+)""", RegexOptions.None, TimeSpan.FromSeconds(1)).Select(call => call.Groups["id"].Value).ToList();
        Assert.True(ids.Count > 0, $"{file}: nobody gives {helper} an ErrorId that can be seen here.");
        return ids;
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

    // new HsmRemoteException("Id", …), or a helper's: HsmRemoteException Name(…) => new("Id", …).
    [GeneratedRegex(@"(new HsmRemoteException|HsmRemoteException \w+\([^)]*\)\s*=>\s*new)\(\s*(""(?<id>\w+)""|\w)", RegexOptions.CultureInvariant | RegexOptions.ExplicitCapture, 1000)]
    private static partial Regex Made();

    [GeneratedRegex(@"HsmRemoteException (?<name>\w+)\b", RegexOptions.CultureInvariant, 1000)]
    private static partial Regex Helpers();
}
