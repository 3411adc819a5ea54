using System.ComponentModel;
using System.Diagnostics;
using HsmRemote.Services.P11Kit;

namespace HsmRemote.Services.P11KitRpc;

/// <summary>A program that serves tokens on its standard input and output: a crash or a hang of it is not ours.</summary>
static class ServingProcess
{
    // Who is told to go by the end of its input has this long to do so.
    static readonly TimeSpan Grace = TimeSpan.FromSeconds(1);

    /// <summary>Does something with a library in a process of its own.</summary>
    /// <exception cref="IOException">The process ended before it had answered.</exception>
    internal static Task<T> UseLibraryAsync<T>(string path, Func<P11KitRpcClient, Task<T>> work, CancellationToken cancellationToken) =>
        // Its own address in its environment could lead it to the very server that is asked about.
        UseAsync([P11KitInstallation.Command(), "remote", path], without: "P11_KIT_SERVER_ADDRESS", work, cancellationToken);

    /// <summary>Does something with what the command of <c>remote: |command</c> serves, which p11-kit runs without a shell.</summary>
    /// <exception cref="IOException">The process ended before it had answered, or cannot be started.</exception>
    internal static Task<T> UseCommandAsync<T>(IReadOnlyList<string> words, Func<P11KitRpcClient, Task<T>> work, CancellationToken cancellationToken) =>
        UseAsync([OnPath(words[0]), .. words.Skip(1)], without: null, work, cancellationToken);

    static async Task<T> UseAsync<T>(IReadOnlyList<string> words, string? without, Func<P11KitRpcClient, Task<T>> work, CancellationToken cancellationToken)
    {
        var start = new ProcessStartInfo(words[0], words.Skip(1))
        {
            UseShellExecute = false,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        if (without is not null)
            start.Environment.Remove(without);
        using var process = Start(start);
        var errors = process.StandardError.ReadToEndAsync(CancellationToken.None);
        var hasAnswered = false;
        try
        {
            await using var client = await P11KitRpcClient.ConnectAsync(
                new DuplexStream(process.StandardOutput.BaseStream, process.StandardInput.BaseStream), cancellationToken);
            var result = await work(client);
            hasAnswered = true;
            return result;
        }
        catch (P11KitRpcException e) when (e.Fault == RpcFault.Closed)
        {
            await process.WaitForExitAsync(cancellationToken);
            throw new IOException($"its process ended with {End(process.ExitCode)} in {e.Call}{Said((await errors).Trim())}", e);
        }
        finally
        {
            await EndAsync(process, hasAnswered ? Grace : TimeSpan.Zero);
        }
    }

    static Process Start(ProcessStartInfo start)
    {
        try
        {
            return Process.Start(start)!;
        }
        catch (Win32Exception e)
        {
            throw new IOException($"'{start.FileName}' cannot be run: {e.Message}", e);
        }
    }

    // Its input has ended by now: it gives back what it holds of the token, and goes.
    static async Task EndAsync(Process process, TimeSpan grace)
    {
        try
        {
            await process.WaitForExitAsync(CancellationToken.None).WaitAsync(grace);
        }
        catch (TimeoutException)
        {
            process.Kill(entireProcessTree: true);
        }
    }

    // As execvp(3) looks. .NET would look beside this program and in the current directory first.
    static string OnPath(string program) => program.Contains('/', StringComparison.Ordinal)
        ? program
        : (Environment.GetEnvironmentVariable("PATH") ?? "/bin:/usr/bin").Split(':')
            .Select(directory => Path.Combine(directory, program))
            .FirstOrDefault(File.Exists)
            ?? throw new IOException($"'{program}' is not on PATH");

    // The runtime adds 128 to the number of the signal that ended a process, as a shell does.
    static string End(int exitCode) => exitCode > 128 ? $"signal {exitCode - 128}" : $"status {exitCode}";

    static string Said(string errors) => errors.Length == 0 ? "" : $": {errors.Split('\n')[^1]}";
}
