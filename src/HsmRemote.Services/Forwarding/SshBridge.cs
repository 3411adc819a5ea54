using System.ComponentModel;
using System.Diagnostics;
using System.Net.Sockets;
using System.Text;

namespace HsmRemote.Services.Forwarding;

/// <summary>A connection to a socket of the far side, over ssh -L through a socket of our own that nobody else can reach.</summary>
sealed class SshBridge : IAsyncDisposable
{
    static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(20);

    readonly DirectoryInfo directory = Directory.CreateTempSubdirectory("p11-");
    readonly StringBuilder said = new();
    Process? ssh;

    /// <summary>Connects.</summary>
    /// <exception cref="HsmRemoteException">The far side cannot be reached, or does not forward.</exception>
    internal async Task<Socket> ConnectAsync(ForwardSettings forward, string path, CancellationToken cancellationToken)
    {
        var local = Path.Combine(directory.FullName, "s");
        var start = new ProcessStartInfo("ssh", [.. forward.SshOptions, "-N", "-L", $"{local}:{path}", "--", forward.HostName])
        {
            UseShellExecute = false,
            RedirectStandardInput = true,
            RedirectStandardError = true,
        };
        if (forward.Layout.Scope == P11KitServerScope.System)
            start.Environment.Remove("SSH_AUTH_SOCK");
        try
        {
            ssh = Process.Start(start)!;
        }
        catch (Win32Exception e)
        {
            throw new HsmRemoteException("ProgramMissing", FailureKind.Unavailable, $"'ssh' cannot be run: {e.Message}.", "Install the package that has ssh (openssh-client).", "ssh", e);
        }

        ssh.ErrorDataReceived += (_, line) =>
        {
            lock (said)
                said.Append(line.Data).Append('\n');
        };
        ssh.BeginErrorReadLine();
        while (!File.Exists(local))
        {
            if (ssh.HasExited)
            {
                await ssh.WaitForExitAsync(cancellationToken);
                throw SshFailure.Of(Said, forward);
            }

            await Task.Delay(Pause, cancellationToken);
        }

        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(local), cancellationToken);
            return socket;
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>Whether the far side has said that it could not connect to the socket, or may not.</summary>
    internal bool WasRefused => Said.Contains("open failed", StringComparison.Ordinal);

    string Said
    {
        get
        {
            lock (said)
                return said.ToString();
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (ssh is not null)
        {
            if (!ssh.HasExited)
                ssh.Kill();
            await ssh.WaitForExitAsync();
            ssh.Dispose();
        }

        directory.Delete(recursive: true);
    }
}
