using System.Diagnostics;
using System.Globalization;
using HsmRemote.Tests;

namespace HsmRemote.Benchmarks;

/// <summary>How long TAB takes: the first of a fresh session, and those of a warm one, beside the engine's own completion of a command's name.</summary>
static class CompletionBenchmark
{
    const int Warm = 30;

    static readonly string Shell = Path.Combine(Checkout.Shell, "hsmremote");

    static readonly (string Name, string Line)[] Lines =
    [
        ("instance names", "Get-P11KitServer -Name "),
        ("token labels", "Get-Pkcs11Token -Label "),
        ("URIs of tokens", "Set-P11TargetUri bench -Uri "),
        ("URIs of private keys", "Test-P11Socket -KeyUri "),
        ("module names", "Get-Pkcs11Module -Name "),
        ("groups", "Install-P11KitServer -Group "),
        ("users", "Test-P11Socket -User "),
        ("containers", "Get-P11ContainerConfig -Container "),
        ("images", "New-P11ContainerConfig bench Podman -Image "),
        ("engines", "New-P11ContainerConfig bench -Engine "),
        ("a command's name, the engine's own", "Get-P"),
    ];

    internal static void Run()
    {
        SocketBenchmark.Run("softhsm2-util", "--init-token", "--free", "--label", "bench-tab", "--pin", "123456", "--so-pin", "87654321");
        SocketBenchmark.Run("pkcs11-tool", "--module", "/usr/lib/softhsm/libsofthsm2.so", "--token-label", "bench-tab", "--login", "--pin", "123456", "--keypairgen", "--key-type", "EC:prime256v1", "--id", "01");
        SocketBenchmark.Run(Shell, "-NoProfile", "-NonInteractive", "-Command", "Install-P11KitServer bench-tab");
        Console.WriteLine("\nTAB, in hsmremote\n");
        Console.WriteLine($"  {"",-34}{"offered",8}{"first",12}{"median",12}{"slowest",12}{"/ a command",12}");
        var results = Lines.Select(line => (line.Name, Times: Measure(line.Line))).ToList();
        var command = results[^1].Times.Median;
        foreach (var (name, (offered, first, median, slowest)) in results)
            Console.WriteLine($"  {name,-34}{offered,8}{first,9:F1} ms{median,9:F1} ms{slowest,9:F1} ms{median / command,12:F2}");
    }

    /// <summary>Times in a process of its own, in milliseconds.</summary>
    static (int Offered, double First, double Median, double Slowest) Measure(string line)
    {
        // The line is in the environment: no quoting of it can go wrong.
        const string Script = """
            function Tab {
                $watch = [Diagnostics.Stopwatch]::StartNew()
                $script:offered = [Management.Automation.CommandCompletion]::CompleteInput($env:LINE, $env:LINE.Length, $null).CompletionMatches.Count
                $watch.Elapsed.TotalMilliseconds.ToString([cultureinfo]::InvariantCulture)
            }
            Tab
            foreach ($i in 1..30) { [Threading.Thread]::Sleep(20); Tab }
            $offered
            """;
        var start = new ProcessStartInfo(Shell, ["-NoProfile", "-NonInteractive", "-Command", Script]) { UseShellExecute = false, RedirectStandardOutput = true };
        start.Environment["LINE"] = line;
        using var process = Process.Start(start)!;
        var lines = process.StandardOutput.ReadToEnd().Split('\n', StringSplitOptions.RemoveEmptyEntries);
        process.WaitForExit();
        if (lines.Length != Warm + 2)
            throw new InvalidOperationException($"TAB behind '{line}' failed: {string.Join('\n', lines)}");
        var times = lines[..^1].Select(text => double.Parse(text, CultureInfo.InvariantCulture)).ToList();
        var warm = times[1..].Order().ToList();
        return (int.Parse(lines[^1], CultureInfo.InvariantCulture), times[0], warm[Warm / 2], warm[^1]);
    }
}
