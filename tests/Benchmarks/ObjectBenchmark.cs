using System.Diagnostics;
using System.Management.Automation;
using System.Management.Automation.Runspaces;
using HsmRemote.Tests;

namespace HsmRemote.Benchmarks;

/// <summary>Ways to list the objects of a SoftHSM token, side by side. It needs no root: each store is in a directory of its own.</summary>
static class ObjectBenchmark
{
    const string Library = "/usr/lib/softhsm/libsofthsm2.so";
    const string Token = "bench-objects";
    const string Pin = "1234";

    static readonly int[] Counts = [1000, 10_000];

    // p11tool looks through all objects again for each, and needs the better part of an hour for the larger store; its URLs alone
    // it lists in one go.
    const int MostForP11tool = 1000;

    /// <summary>Fills stores and lists them.</summary>
    /// <param name="rounds">How often each way is gone; the slow one of p11tool once.</param>
    internal static void Run(int rounds)
    {
        using var session = RunspaceFactory.CreateRunspace(InitialSessionState.CreateDefault2());
        session.Open();
        Invoke(session, $"Import-Module '{Checkout.Manifest}'");
        var medians = Counts.Select(count => Race(session, count, rounds)).ToList();

        Console.WriteLine($"\nTen times the objects take\n");
        for (var i = 0; i < medians[1].Count; i++)
            Console.WriteLine($"  {medians[0][i].Name,-52}{medians[1][i].Median / medians[0][i].Median,8:F1} times as long");
    }

    static List<(string Name, TimeSpan Median)> Race(Runspace session, int count, int rounds)
    {
        // In memory: nobody's disk is measured.
        var store = Directory.CreateDirectory($"/dev/shm/hsmremote-bench-{Environment.ProcessId}");
        try
        {
            var configuration = Path.Combine(store.FullName, "softhsm2.conf");
            File.WriteAllText(configuration, $"directories.tokendir = {store.CreateSubdirectory("tokens").FullName}\n");
            Run(configuration, "softhsm2-util", "--init-token", "--free", "--label", Token, "--pin", Pin, "--so-pin", "87654321");
            // In a process of its own: the module in this one belongs to the session.
            Run(configuration, Environment.ProcessPath!, "fill", Library, Pin, $"{count}");
            Invoke(session, $"$env:SOFTHSM2_CONF = '{configuration}'; $token = Get-Pkcs11Token {Token} -Module softhsm2");

            (string Name, int Rounds, Func<TimeSpan> Round)[] ways =
            [
                ("$token | Get-Pkcs11Object", rounds, () => Cmdlet(session, "$token | Get-Pkcs11Object", count)),
                ("Get-Pkcs11Token | Get-Pkcs11Object", rounds, () => Cmdlet(session, "Get-Pkcs11Token -Module softhsm2 | Get-Pkcs11Object", count)),
                ("hsmremote -Command 'Get-Pkcs11Token | …', cold", rounds, () => Program(configuration, 1, Path.Combine(Checkout.Shell, "hsmremote"), "-NoProfile", "-Command", "(Get-Pkcs11Token -Module softhsm2 | Get-Pkcs11Object).Count")),
                ("pkcs11-tool --list-objects", rounds, () => Program(configuration, count, "pkcs11-tool", "--module", Library, "--list-objects")),
                ("p11tool --list-all --only-urls", rounds, () => Program(configuration, count, "p11tool", "--provider", Library, "--list-all", "--only-urls", $"pkcs11:token={Token}")),
                ("p11tool --list-all", count <= MostForP11tool ? 1 : 0, () => Program(configuration, count, "p11tool", "--provider", Library, "--list-all", $"pkcs11:token={Token}")),
            ];
            var times = ways.Select(_ => new List<TimeSpan>()).ToArray();
            // Once before, for the compiler and the disk's cache.
            ways[0].Round();
            for (var round = 0; round < rounds; round++)
            {
                for (var i = 0; i < ways.Length; i++)
                {
                    if (round < ways[i].Rounds)
                        times[i].Add(ways[i].Round());
                }
            }

            var medians = ways.Zip(times).Where(way => way.Second.Count > 0)
                .Select(way => (way.First.Name, Median: way.Second.Order().ElementAt(way.Second.Count / 2))).ToList();
            Print(count, medians);
            return medians;
        }
        finally
        {
            store.Delete(recursive: true);
        }
    }

    static void Print(int count, List<(string Name, TimeSpan Median)> medians)
    {
        Console.WriteLine($"\n{count} objects in a SoftHSM token\n");
        const int Ours = 3;
        var peers = medians.Skip(Ours).ToList();
        Console.WriteLine($"  {"",-48}{"median",10}{string.Concat(peers.Select(peer => $"  / {peer.Name}"))}");
        foreach (var (name, median) in medians)
        {
            var ratios = string.Concat(peers.Select(peer => string.Create(null, $"{median / peer.Median:F3}").PadLeft(peer.Name.Length + 4)));
            Console.WriteLine($"  {name,-48}{median.TotalMilliseconds,7:F0} ms{ratios}");
        }
    }

    static TimeSpan Cmdlet(Runspace session, string script, int count)
    {
        GC.Collect();
        var started = Stopwatch.GetTimestamp();
        var found = Invoke(session, script);
        var elapsed = Stopwatch.GetElapsedTime(started);
        return found == count ? elapsed : throw new InvalidOperationException($"{script}: {found} objects");
    }

    /// <summary>A program, from its start to its end.</summary>
    static TimeSpan Program(string configuration, int lines, string file, params string[] arguments)
    {
        var started = Stopwatch.GetTimestamp();
        var output = Run(configuration, file, arguments);
        var elapsed = Stopwatch.GetElapsedTime(started);
        return output.AsSpan().Count('\n') >= lines ? elapsed : throw new InvalidOperationException($"{file} did not list {lines} objects: {output}");
    }

    static int Invoke(Runspace session, string script)
    {
        using var shell = PowerShell.Create(session);
        var output = shell.AddScript(script).Invoke();
        return shell.HadErrors ? throw new InvalidOperationException(shell.Streams.Error[0].ToString()) : output.Count;
    }

    static string Run(string configuration, string file, params string[] arguments)
    {
        var start = new ProcessStartInfo(file, arguments) { UseShellExecute = false, RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["SOFTHSM2_CONF"] = configuration;
        using var process = Process.Start(start)!;
        var errors = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0 ? output : throw new InvalidOperationException($"{file} failed: {output}{errors.Result}");
    }
}
