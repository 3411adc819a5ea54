using System.ComponentModel;
using System.Diagnostics;

namespace HsmRemote.Services.Native;

/// <summary>A program that runs to its end.</summary>
static class ChildProcess
{
    internal sealed record Result(int ExitCode, string Output, string Errors);

    /// <param name="file">The program.</param>
    /// <param name="arguments">Its arguments.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <param name="input">What it reads on its standard input.</param>
    /// <param name="without">A variable that is not passed on to it.</param>
    /// <exception cref="HsmRemoteException">The program is not installed.</exception>
    internal static async Task<Result> RunAsync(
        string file, IReadOnlyList<string> arguments, CancellationToken cancellationToken, string input = "", string? without = null)
    {
        var start = new ProcessStartInfo(file, arguments)
        {
            UseShellExecute = false,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        if (without is not null)
            start.Environment.Remove(without);
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
            try
            {
                try
                {
                    await process.StandardInput.WriteAsync(input.AsMemory(), cancellationToken);
                    process.StandardInput.Close();
                }
                catch (IOException)
                {
                    // It ended without reading all of it; why, its errors say.
                }

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
