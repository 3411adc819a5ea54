using System.Diagnostics;
using System.Management.Automation;
using System.Management.Automation.Runspaces;

namespace HsmRemote.Benchmarks;

/// <summary>One way to the token, that can be gone again and again.</summary>
/// <param name="Name">What the table calls it.</param>
/// <param name="Round">Goes it once, and says how long it took.</param>
sealed record Contender(string Name, Func<TimeSpan> Round)
{
    /// <summary>A cmdlet in a session that is warm.</summary>
    internal static Contender Cmdlet(string name, Runspace session, string parameter, string value) => new(name, () =>
    {
        var started = Stopwatch.GetTimestamp();
        using var shell = PowerShell.Create(session);
        var result = shell.AddCommand("Test-P11Socket").AddParameter(parameter, value).Invoke();
        var elapsed = Stopwatch.GetElapsedTime(started);
        return result is [{ BaseObject: P11SocketTest { Succeeded: true } }]
            ? elapsed
            : throw new InvalidOperationException($"Test-P11Socket -{parameter} {value}: {(result.Count == 0 ? shell.Streams.Error[0] : ((P11SocketTest)result[0].BaseObject).Explanation)}");
    });

    /// <summary>A program, from its start to its end.</summary>
    /// <param name="name">What the table calls it.</param>
    /// <param name="address">P11_KIT_SERVER_ADDRESS for it, or empty.</param>
    /// <param name="expected">What has to be in its output.</param>
    /// <param name="file">The program.</param>
    /// <param name="arguments">Its arguments.</param>
    internal static Contender Program(string name, string address, string expected, string file, params string[] arguments) => new(name, () =>
    {
        var start = Start(address, file, arguments);
        var started = Stopwatch.GetTimestamp();
        using var process = Process.Start(start)!;
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        var elapsed = Stopwatch.GetElapsedTime(started);
        return process.ExitCode == 0 && output.Contains(expected, StringComparison.Ordinal)
            ? elapsed
            : throw new InvalidOperationException($"{file} did not find the token: {output}");
    });

    /// <summary>A program that stays, goes the way once for each line that it reads, and says how long it took.</summary>
    internal static Contender Loop(string name, Process loop) => new(name, () =>
    {
        loop.StandardInput.WriteLine();
        loop.StandardInput.Flush();
        var nanoseconds = loop.StandardOutput.ReadLine() ?? throw new InvalidOperationException($"{name} ended.");
        return TimeSpan.FromMicroseconds(long.Parse(nanoseconds) / 1000.0);
    });

    internal static ProcessStartInfo Start(string address, string file, params string[] arguments)
    {
        var start = new ProcessStartInfo(file, arguments) { UseShellExecute = false, RedirectStandardInput = true, RedirectStandardOutput = true };
        if (address.Length > 0)
            start.Environment["P11_KIT_SERVER_ADDRESS"] = $"unix:path={address}";
        return start;
    }
}
