using System.Diagnostics;

namespace HsmRemote.Tests.Module;

/// <summary>A SoftHSM store of one test, with one token, whose PIN is 1234.</summary>
sealed class SoftHsmStore : IDisposable
{
    public const string Library = "/usr/lib/softhsm/libsofthsm2.so";
    public const string Pin = "1234";

    readonly DirectoryInfo directory = Directory.CreateTempSubdirectory("hsmremote-tests-");

    public SoftHsmStore(string label)
    {
        Label = label;
        Configuration = PathOf("softhsm2.conf");
        File.WriteAllText(Configuration, $"directories.tokendir = {directory.CreateSubdirectory("tokens").FullName}\n");
        AddToken(label);
    }

    public string Label { get; }

    /// <summary>The value of SOFTHSM2_CONF.</summary>
    public string Configuration { get; }

    public void Dispose() => directory.Delete(recursive: true);

    public string PathOf(string name) => Path.Combine(directory.FullName, name);

    public void AddToken(string label) => Run("softhsm2-util", "--init-token", "--free", "--label", label, "--pin", Pin, "--so-pin", "5678");

    /// <summary>Runs pkcs11-tool, logged in.</summary>
    public void Tool(params string[] arguments) => Run("pkcs11-tool", ["--module", Library, "--token-label", Label, "--login", "--pin", Pin, .. arguments]);

    /// <summary>The URIs that p11tool lists, in order.</summary>
    public IEnumerable<string> ListedUris(params string[] arguments) =>
        Run("p11tool", ["--provider", Library, "--only-urls", "--list-all", .. arguments, $"pkcs11:token={Label}"])
            .Split('\n', StringSplitOptions.RemoveEmptyEntries).Order(StringComparer.Ordinal);

    public string Run(string program, params string[] arguments)
    {
        var start = new ProcessStartInfo(program, arguments) { UseShellExecute = false, RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["SOFTHSM2_CONF"] = Configuration;
        using var process = Process.Start(start)!;
        var errors = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.True(process.ExitCode == 0, $"{program} {string.Join(' ', arguments)}: {output}{errors.Result}");
        return output;
    }
}
