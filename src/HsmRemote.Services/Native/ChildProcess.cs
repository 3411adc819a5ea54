using System.ComponentModel;
using System.Diagnostics;

namespace HsmRemote.Services.Native;

/// <summary>A program that runs to its end, with nothing on its standard input.</summary>
static class ChildProcess
{
    internal sealed record Result(int ExitCode, string Output, string Errors);

    /// <exception cref="HsmRemoteException">The program is not installed.</exception>
    internal static async Task<Result> RunAsync(string file, IReadOnlyList<string> arguments, CancellationToken cancellationToken)
    {
        var start = new ProcessStartInfo(file, arguments)
        {
            UseShellExecute = false,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        Process process;
        try
        {
            process = Process.Start(start)!;
        }
        catch (Win32Exception e)
        {
            throw new HsmRemoteException(
                "ProgramMissing", FailureKind.Unavailable, $"'{file}' cannot be run: {e.Message}.", $"Install the package that has {file}.", file, e);
        }

        using (process)
        {
            process.StandardInput.Close();
            try
            {
                var output = process.StandardOutput.ReadToEndAsync(cancellationToken);
                var errors = process.StandardError.ReadToEndAsync(cancellationToken);
                await process.WaitForExitAsync(cancellationToken);
                return new Result(process.ExitCode, await output, await errors);
            }
            catch (OperationCanceledException)
            {
                process.Kill(entireProcessTree: true);
                throw;
            }
        }
    }
}
