using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using HsmRemote.Services.Containers;
using HsmRemote.Services.Native;
using HsmRemote.Services.P11Kit;
using HsmRemote.Services.Sockets;

namespace HsmRemote.Services.Server;

/// <summary><c>p11-kit server</c> as a child of this process, where there is no systemd to run it.</summary>
sealed partial class ForegroundServer(IReadOnlyList<Pkcs11Uri> targetUri, string? socketPath, IReporter reporter)
{
    static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(20);
    static readonly TimeSpan Limit = TimeSpan.FromSeconds(10);
    static readonly TimeSpan Grace = TimeSpan.FromSeconds(2);

    internal async Task RunAsync(Action<P11KitForegroundServer> started, CancellationToken cancellationToken)
    {
        // Only its owner passes the directory, whatever mode this p11-kit gives the socket.
        var own = socketPath is null ? Directory.CreateTempSubdirectory("p11-kit-") : null;
        var path = socketPath ?? Path.Combine(own!.FullName, "pkcs11");
        var isOurs = false;
        try
        {
            UnixSocketConnector.RequireUsable(path);
            if (Path.Exists(path))
            {
                throw new HsmRemoteException(
                    "SocketPathTaken", FailureKind.Exists, $"There is something at {path}, so no server can listen there.", "Choose another path, or remove it if nobody uses it.", path);
            }

            // p11-kit would only say 'Unknown error 2'.
            if (Path.GetDirectoryName(path) is { } directory && !Directory.Exists(directory))
            {
                throw new HsmRemoteException(
                    "SocketPathInvalid", FailureKind.InvalidArgument, $"No server can listen at {path}: there is no directory {directory} that can be seen.",
                    "Make the directory, for its owner alone (mkdir -m 0700), or leave -SocketPath out.", path);
            }

            // What was there before is somebody else's.
            isOurs = true;
            using var server = Start(path);
            var said = Read(server);
            try
            {
                await WaitAsync(server, path, said, cancellationToken);
                started(new P11KitForegroundServer
                {
                    TargetUri = targetUri,
                    SocketPath = path,
                    ProcessId = server.Id,
                    Export = $"export {ProcessAddress.Variable}={ShellWord.Quote(ProcessAddress.Encode(path))}",
                    Forward = $"ssh -N -o ExitOnForwardFailure=yes -R {ShellWord.Quote($"/tmp/pkcs11:{Forwarded(path)}")} HOST",
                    RemoteExport = $"export {ProcessAddress.Variable}=unix:path=/tmp/pkcs11",
                });
                await server.WaitForExitAsync(cancellationToken);
                throw Ended(server, said);
            }
            finally
            {
                await EndAsync(server);
            }
        }
        finally
        {
            // p11-kit removes it, unless it was killed.
            if (own is not null)
                own.Delete(recursive: true);
            else if (isOurs && Path.Exists(path))
                File.Delete(path);
        }
    }

    /// <summary>A path as ssh reads it in -R: a colon would end it, and a percent sign begin a token.</summary>
    static string Forwarded(string path) =>
        path.Replace(@"\", @"\\", StringComparison.Ordinal).Replace(":", @"\:", StringComparison.Ordinal).Replace("%", "%%", StringComparison.Ordinal);

    Process Start(string path)
    {
        var p11Kit = P11KitInstallation.Command();
        var start = new ProcessStartInfo(p11Kit, ["server", "--foreground", "--name", path, .. targetUri.Select(uri => uri.ToString())])
        {
            UseShellExecute = false,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        // With its own address it would connect to itself.
        start.Environment.Remove("P11_KIT_SERVER_ADDRESS");
        try
        {
            return Process.Start(start)!;
        }
        catch (Win32Exception e)
        {
            throw new HsmRemoteException("ProgramMissing", FailureKind.Unavailable, $"'{p11Kit}' cannot be run: {e.Message}.", "Install p11-kit.", p11Kit, e);
        }
    }

    /// <summary>What it writes: to the reporter, and kept for the case that it ends.</summary>
    List<string> Read(Process server)
    {
        List<string> said = [];
        void Keep(object sender, DataReceivedEventArgs line)
        {
            if (line.Data is not { Length: > 0 } text)
                return;
            reporter.Verbose(text);
            lock (said)
                said.Add(text);
        }

        server.OutputDataReceived += Keep;
        server.ErrorDataReceived += Keep;
        server.BeginOutputReadLine();
        server.BeginErrorReadLine();
        return said;
    }

    static async Task WaitAsync(Process server, string path, List<string> said, CancellationToken cancellationToken)
    {
        for (var begun = TimeProvider.System.GetTimestamp(); !File.Exists(path);)
        {
            if (server.HasExited || TimeProvider.System.GetElapsedTime(begun) > Limit)
                throw Ended(server, said);
            await Task.Delay(Pause, cancellationToken);
        }
    }

    static HsmRemoteException Ended(Process server, List<string> said)
    {
        string last;
        lock (said)
            last = said.Count > 0 ? $": {said[^1]}" : "";
        return new HsmRemoteException(
            "ForegroundServerEnded", FailureKind.Unavailable,
            server.HasExited
                ? string.Create(CultureInfo.InvariantCulture, $"p11-kit server has ended by itself, with status {server.ExitCode}{last}.")
                : $"p11-kit server has not made its socket{last}.",
            "Mend what it complains of; run it with -Verbose to see all that it writes.", "p11-kit server");
    }

    static async Task EndAsync(Process server)
    {
        if (server.HasExited)
            return;
        // Asked, it removes its socket and lets those who are connected finish what they are in.
        _ = kill(server.Id, ProcessHandle.Terminate);

        try
        {
            await server.WaitForExitAsync(CancellationToken.None).WaitAsync(Grace);
        }
        catch (TimeoutException)
        {
            server.Kill(entireProcessTree: true);
            await server.WaitForExitAsync(CancellationToken.None);
        }
    }

    // Not by a handle of the process, which macOS does not have; it is our own child, and has not been waited for.
    [LibraryImport("libc")]
    private static partial int kill(int process, int signal);
}
