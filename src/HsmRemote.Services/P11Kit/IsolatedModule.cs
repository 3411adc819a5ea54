using System.Diagnostics;
using HsmRemote.Services.P11KitRpc;
using HsmRemote.Services.Pkcs11;

namespace HsmRemote.Services.P11Kit;

/// <summary>A module in a process of its own, behind <c>p11-kit remote</c>: a crash or a hang of it is not ours.</summary>
static class IsolatedModule
{
    /// <summary>Every token of a module, in slot order, and why others cannot be read.</summary>
    /// <exception cref="IOException">The process ended before it had answered.</exception>
    internal static async Task<(IReadOnlyList<Pkcs11Token> Tokens, IReadOnlyList<Pkcs11ErrorException> Failures)> ReadTokensAsync(
        string? name, string path, CancellationToken cancellationToken)
    {
        var start = new ProcessStartInfo(P11KitInstallation.Command(), ["remote", path])
        {
            UseShellExecute = false,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        // Its own address in its environment could lead it to the very server that is asked about.
        start.Environment.Remove("P11_KIT_SERVER_ADDRESS");
        using var process = Process.Start(start)!;
        var errors = process.StandardError.ReadToEndAsync(CancellationToken.None);
        try
        {
            await using var client = await P11KitRpcClient.ConnectAsync(
                new DuplexStream(process.StandardOutput.BaseStream, process.StandardInput.BaseStream), cancellationToken);
            await client.InitializeAsync(cancellationToken);
            return await RpcTokens.ReadAsync(client, cancellationToken, name, path);
        }
        catch (P11KitRpcException e) when (e.Fault == RpcFault.Closed)
        {
            await process.WaitForExitAsync(cancellationToken);
            throw new IOException($"its process ended with {End(process.ExitCode)} in {e.Call}{Said((await errors).Trim())}", e);
        }
        finally
        {
            if (!process.HasExited)
                process.Kill(entireProcessTree: true);
        }
    }

    // The runtime adds 128 to the number of the signal that ended a process, as a shell does.
    static string End(int exitCode) => exitCode > 128 ? $"signal {exitCode - 128}" : $"status {exitCode}";

    static string Said(string errors) => errors.Length == 0 ? "" : $": {errors.Split('\n')[^1]}";
}
