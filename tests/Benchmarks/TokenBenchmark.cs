using System.Diagnostics;
using System.Management.Automation;
using System.Management.Automation.Runspaces;
using HsmRemote.Tests;

namespace HsmRemote.Benchmarks;

/// <summary>Listing the tokens of the host's modules: Get-Pkcs11Token in a warm session and in a process of its own, beside p11tool.</summary>
static class TokenBenchmark
{
    const string Token = "bench-list";
    static readonly string Shell = Path.Combine(Checkout.Shell, "hsmremote");

    internal static void Run(int rounds)
    {
        SocketBenchmark.Run("softhsm2-util", "--init-token", "--free", "--label", Token, "--pin", "123456", "--so-pin", "87654321");
        using var session = RunspaceFactory.CreateRunspace(InitialSessionState.CreateDefault2());
        session.Open();
        SocketBenchmark.Invoke(session, $"Import-Module '{Checkout.Manifest}'");
        Table.Print(
            "Tokens of the host's modules, in a warm session",
            SocketBenchmark.Measure(
                [
                    Warm("Get-Pkcs11Token", session, isolated: false), Warm("Get-Pkcs11Token -Isolated", session, isolated: true),
                    // The others come after a pause, in which the processor forgets.
                    Twice("Get-Pkcs11Token, after another", session),
                    Contender.Program("p11tool --list-tokens", "", Token, "p11tool", "--list-tokens"),
                ],
                rounds),
            ours: 3);
        Table.Print(
            "In a process of its own",
            SocketBenchmark.Measure([Cold("Get-Pkcs11Token", Token), Cold("Get-Pkcs11Token -Isolated", Token), Cold("exit", "")], rounds, warmUp: 3),
            ours: 2);
    }

    static Contender Warm(string name, Runspace session, bool isolated) => new(name, () =>
    {
        var started = Stopwatch.GetTimestamp();
        using var shell = PowerShell.Create(session);
        var tokens = shell.AddCommand("Get-Pkcs11Token").AddParameter("Isolated", isolated).Invoke();
        var elapsed = Stopwatch.GetElapsedTime(started);
        return tokens.Any(token => token.BaseObject is Pkcs11Token { Label: Token })
            ? elapsed
            : throw new InvalidOperationException($"{name} did not find the token: {string.Join(' ', shell.Streams.Error)}");
    });

    static Contender Twice(string name, Runspace session)
    {
        var once = Warm(name, session, isolated: false);
        return new(name, () =>
        {
            once.Round();
            return once.Round();
        });
    }

    static Contender Cold(string command, string expected) =>
        Contender.Program($"hsmremote -Command {command}", "", expected, Shell, "-NoProfile", "-NonInteractive", "-Command", command);
}
