using HsmRemote.Tests;

namespace HsmRemote.Benchmarks;

/// <summary>What one task of a fleet's engine costs on a host that is as it should be: the shell starts, finds nothing to do, and ends.</summary>
static class TaskBenchmark
{
    const string Instance = "bench-task";
    const string Install = $"Install-P11KitServer -Name {Instance} -TargetUri pkcs11:token=bench-task";

    internal static void Run(int rounds)
    {
        Cold(Install, "True").Round();
        Table.Print(
            "A task on a host that is as it should be, in a process of its own",
            SocketBenchmark.Measure([Cold(Install, "False"), Cold("exit", "", isValue: false)], rounds, warmUp: 5),
            ours: 1);
    }

    // With -OutputFormat Json, as whoever runs tasks reads it.
    static Contender Cold(string command, string expected, bool isValue = true) => Contender.Program(
        $"hsmremote -Command {command.Split(' ')[0]}", "", expected is "" ? "" : expected.ToLowerInvariant(), Path.Combine(Checkout.Shell, "hsmremote"),
        "-NoProfile", "-NonInteractive", "-OutputFormat", "Json", "-Command", isValue ? $"({command}).Changed" : command);
}
