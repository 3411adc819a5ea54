using HsmRemote.Docs.Checks;
using HsmRemote.Docs.Pages;
using HsmRemote.Tests.Shell;

namespace HsmRemote.Tests.Docs;

/// <summary>That Get-Help finds the published help, and shows it as a person can read it.</summary>
public sealed class GetHelpTests
{
    static string Shell { get; } = Path.Combine(Checkout.Shell, "hsmremote");

    [Fact]
    public async Task It_shows_every_cmdlet_in_full_and_breaks_lines_between_words()
    {
        var cmdlets = ModuleCommands.Read(Checkout.Module).Cmdlets.Keys.ToList();
        var help = await GetHelpAsync($"{string.Join(',', cmdlets.Select(c => $"'{c}'"))} | ForEach-Object {{ Get-Help $_ -Full }}");
        var words = help.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries).ToHashSet(StringComparer.Ordinal);
        foreach (var cmdlet in cmdlets)
        {
            var page = CmdletPageReader.Read(cmdlet, await File.ReadAllTextAsync(Path.Combine(Checkout.Pages, $"{cmdlet}.md"), TestContext.Current.CancellationToken));
            Assert.Contains(page.Synopsis, string.Join(' ', help.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)), StringComparison.Ordinal);
            Assert.All(page.Description.SelectMany(p => p.Split(' ')), word => Assert.Contains(word, words));
        }
    }

    [Fact]
    public async Task It_shows_one_parameter()
    {
        var help = await GetHelpAsync("Get-Help Install-P11KitServer -Parameter Group");
        Assert.Contains("-Group <String>", help, StringComparison.Ordinal);
        Assert.Contains("Default value                root", help, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("about_HsmRemote")]
    [InlineData("about_HsmRemote_Containers")]
    [InlineData("about_HsmRemote_Security")]
    [InlineData("about_HsmRemote_Troubleshooting")]
    [InlineData("about_HsmRemote_Uris")]
    [InlineData("about_HsmRemote_Validation")]
    public async Task It_shows_the_topics(string topic) =>
        Assert.StartsWith($"TOPIC\n    {topic}\n", await GetHelpAsync($"Get-Help {topic}"), StringComparison.Ordinal);

    static async Task<string> GetHelpAsync(string command)
    {
        using var process = ShellProcess.Start(Shell, ["-NoProfile", "-NonInteractive", "-Command", command]);
        process.StandardInput.Close();
        var result = await ShellProcess.FinishAsync(process);
        Assert.Equal((0, ""), (result.ExitCode, result.Error));
        return result.Output;
    }
}
