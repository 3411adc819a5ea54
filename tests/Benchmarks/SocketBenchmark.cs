using System.Diagnostics;
using System.Management.Automation;
using System.Management.Automation.Runspaces;
using HsmRemote.Tests;

namespace HsmRemote.Benchmarks;

/// <summary>Ways to a token behind a socket, side by side. In the sandbox, as root: it installs a server.</summary>
static class SocketBenchmark
{
    internal const string Token = "bench-token";

    const string Instance = "bench";
    const string InstanceSocket = $"/run/{Instance}/pkcs11";
    const string DaemonSocket = "/run/bench-daemon";

    // A connection's process goes on ending after its client has gone; who comes next must not pay for that.
    internal static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(100);

    internal static readonly string ClientModule = Directory.EnumerateFiles("/usr/lib", "p11-kit-client.so", SearchOption.AllDirectories).First();

    /// <summary>Makes the token and the C loop; gives the loop's path.</summary>
    internal static string Prepare()
    {
        Run("softhsm2-util", "--init-token", "--free", "--label", Token, "--pin", "123456", "--so-pin", "87654321");
        var loopProgram = Path.Combine(Path.GetTempPath(), "client");
        Run("cc", "-O2", "-I/usr/include/p11-kit-1", "-o", loopProgram, Path.Combine(AppContext.BaseDirectory, "client.c"), "-ldl");
        return loopProgram;
    }

    internal static void Run(int rounds, string loopProgram)
    {
        using var session = RunspaceFactory.CreateRunspace(InitialSessionState.CreateDefault2());
        session.Open();
        Invoke(session, $"Import-Module '{Checkout.Manifest}'; Install-P11KitServer {Instance} -TargetUri 'pkcs11:token={Token}'");
        using var daemon = Process.Start(Contender.Start("", "p11-kit", "server", "-f", "-n", DaemonSocket, $"pkcs11:token={Token}"))!;
        while (!File.Exists(DaemonSocket))
            Thread.Sleep(10);
        try
        {
            Race($"Instance of Install-P11KitServer (PerConnection, sandboxed): {InstanceSocket}", InstanceSocket, [
                Contender.Cmdlet($"Test-P11Socket -Name {Instance}", session, "Name", Instance),
                Contender.Cmdlet("Test-P11Socket -SocketPath", session, "SocketPath", InstanceSocket)]);
            Race($"p11-kit server: {DaemonSocket}", DaemonSocket, [Contender.Cmdlet("Test-P11Socket -SocketPath", session, "SocketPath", DaemonSocket)]);
        }
        finally
        {
            daemon.Kill(entireProcessTree: true);
        }

        void Race(string title, string socket, Contender[] ours)
        {
            using var loop = Process.Start(Contender.Start(socket, loopProgram, ClientModule))!;
            Contender[] others =
            [
                Contender.Loop("C loop", loop),
                Contender.Program("pkcs11-tool", socket, "pkcs11-tool", "--module", ClientModule, "--list-token-slots"),
                Contender.Program("p11tool", socket, "p11tool", "--provider", ClientModule, "--list-tokens"),
            ];
            Table.Print(title, Measure([.. ours, .. others], rounds), ours.Length);
            loop.StandardInput.Close();
            loop.WaitForExit();
        }
    }

    static (string Name, TimeSpan Median)[] Measure(Contender[] contenders, int rounds)
    {
        // A session is warm when the compiler's second tier has taken over, which is after 30 calls.
        const int WarmUp = 35;
        foreach (var contender in contenders)
        {
            for (var i = 0; i < WarmUp; i++)
                contender.Round();
        }

        var times = contenders.Select(_ => new List<TimeSpan>(rounds)).ToArray();
        for (var round = 0; round < rounds; round++)
        {
            // Whoever begins a round is another one each time.
            for (var i = 0; i < contenders.Length; i++)
            {
                var next = (i + round) % contenders.Length;
                Thread.Sleep(Pause);
                times[next].Add(contenders[next].Round());
            }
        }

        return [.. contenders.Zip(times, (contender, measured) => (contender.Name, measured.Order().ElementAt(rounds / 2)))];
    }

    internal static void Invoke(Runspace session, string script)
    {
        using var shell = PowerShell.Create(session);
        shell.AddScript(script).Invoke();
        if (shell.HadErrors)
            throw new InvalidOperationException(shell.Streams.Error[0].ToString());
    }

    /// <summary>Runs a program that succeeds; gives what it said.</summary>
    internal static string Run(string file, params string[] arguments)
    {
        using var process = Process.Start(Contender.Start("", file, arguments))!;
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        if (process.ExitCode != 0)
            throw new InvalidOperationException($"{file} failed: {output}");
        return output;
    }
}
