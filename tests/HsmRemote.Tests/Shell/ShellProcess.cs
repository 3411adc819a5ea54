using System.Diagnostics;
using System.Text;
using Xunit;

namespace HsmRemote.Tests.Shell;

/// <summary>What a run of hsmremote left behind.</summary>
internal sealed record ShellResult(int ExitCode, string Output, string Error);

/// <summary>Runs the executable itself, as an administrator's script would.</summary>
internal static class ShellProcess
{
    /// <summary>What './build.sh Build' publishes, and an administrator runs.</summary>
    public static string Directory { get; } = Checkout.Shell;

    public const string Name = "hsmremote";

    public static string Executable { get; } = Path.Combine(Directory, Name);

    public static Task<ShellResult> RunAsync(params string[] arguments) => RunWithInputAsync(input: "", arguments);

    public static async Task<ShellResult> RunWithInputAsync(string input, params string[] arguments)
    {
        using var process = Start(Executable, ["-NoModule", .. arguments]);
        await process.StandardInput.WriteAsync(input);
        process.StandardInput.Close();
        return await FinishAsync(process);
    }

    /// <summary>Starts a program with all three streams piped, and Ctrl-C not ignored even where the tests' caller ignores it.</summary>
    public static Process Start(string executable, IEnumerable<string> arguments, string? columns = null)
    {
        var start = new ProcessStartInfo("/usr/bin/env")
        {
            UseShellExecute = false,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            StandardOutputEncoding = Encoding.UTF8,
            StandardErrorEncoding = Encoding.UTF8,
        };
        start.ArgumentList.Add("--default-signal=INT");
        start.ArgumentList.Add(executable);
        foreach (var argument in arguments)
            start.ArgumentList.Add(argument);
        start.Environment.Remove("NO_COLOR");
        start.Environment.Remove("COLUMNS");
        start.Environment["TERM"] = "xterm";
        if (columns is not null)
            start.Environment["COLUMNS"] = columns;
        return Process.Start(start)!;
    }

    public static async Task<ShellResult> FinishAsync(Process process)
    {
        var cancellation = TestContext.Current.CancellationToken;
        var output = process.StandardOutput.ReadToEndAsync(cancellation);
        var error = process.StandardError.ReadToEndAsync(cancellation);
        await process.WaitForExitAsync(cancellation);
        return new ShellResult(process.ExitCode, await output, await error);
    }
}
