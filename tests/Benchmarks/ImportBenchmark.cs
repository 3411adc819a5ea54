using System.Diagnostics;
using System.Globalization;
using HsmRemote.Tests;

namespace HsmRemote.Benchmarks;

/// <summary>The module's import in a session that is open, beside that of modules with nothing in them. Needs neither the sandbox nor root.</summary>
static class ImportBenchmark
{
    static readonly string Empty = Path.Combine(Checkout.Root, "artifacts", "bin", "EmptyModule", Path.GetFileName(AppContext.BaseDirectory.TrimEnd('/')));

    internal static void Run(int rounds)
    {
        Table.Print(
            "Import-Module, the first in a session that is open",
            SocketBenchmark.Measure(
                [
                    Import("HsmRemote", Checkout.Manifest),
                    Import("an empty cmdlet, and a view", Path.Combine(Empty, "EmptyModuleWithView.psd1")),
                    Import("an empty cmdlet", Path.Combine(Empty, "EmptyModule.psd1")),
                ],
                rounds,
                warmUp: 3),
            ours: 1);
        var loaded = Session($"Import-Module '{Checkout.Manifest}'; $null = Get-Command -Module HsmRemote; [AppDomain]::CurrentDomain.GetAssemblies().ForEach({{ $_.GetName().Name }}) -contains 'HsmRemote.Services'");
        Console.WriteLine($"\n  After 'Get-Command -Module HsmRemote' the services are loaded: {loaded}");
    }

    static Contender Import(string name, string manifest) => new(name, () => TimeSpan.FromMilliseconds(double.Parse(
        // Once for nothing, so that the stopwatch itself is not what is measured.
        Session($"$watch = [Diagnostics.Stopwatch]::StartNew(); $watch.Restart(); Import-Module '{manifest}'; $watch.Stop(); \"$($watch.Elapsed.TotalMilliseconds)\""),
        CultureInfo.InvariantCulture)));

    static string Session(string script)
    {
        using var process = Process.Start(Contender.Start("", Path.Combine(Checkout.Shell, "hsmremote"), "-NoModule", "-NoProfile", "-NonInteractive", "-Command", script))!;
        var output = process.StandardOutput.ReadToEnd().Trim();
        process.WaitForExit();
        return process.ExitCode == 0 ? output : throw new InvalidOperationException($"'{script}' failed.");
    }
}
