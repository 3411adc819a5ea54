using System.Net.Sockets;

namespace HsmRemote.Tests.Sockets;

/// <summary>A directory for a test's sockets, that everybody can search.</summary>
sealed class SocketDirectory : IDisposable
{
    const UnixFileMode Searchable = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute
        | UnixFileMode.GroupRead | UnixFileMode.GroupExecute | UnixFileMode.OtherRead | UnixFileMode.OtherExecute;

    readonly List<IDisposable> listeners = [];

    public SocketDirectory()
    {
        FullName = Directory.CreateTempSubdirectory("hsmremote-").FullName;
        File.SetUnixFileMode(FullName, Searchable);
        SocketPath = Path.Join(FullName, "pkcs11");
    }

    public string FullName { get; }

    public string SocketPath { get; }

    /// <summary>Listens, with a handler for each connection.</summary>
    public Socket Listen(Func<Socket, Task>? serve, string? path = null, int backlog = 16, UnixFileMode? mode = null)
    {
        var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listeners.Add(listener);
        listener.Bind(new UnixDomainSocketEndPoint(path ?? SocketPath));
        if (mode is { } wanted)
            File.SetUnixFileMode(path ?? SocketPath, wanted);
        listener.Listen(backlog);
        if (serve is not null)
            _ = AcceptAsync();
        return listener;

        async Task AcceptAsync()
        {
            try
            {
                while (true)
                {
                    using var connection = await listener.AcceptAsync();
                    await serve(connection);
                }
            }
            catch (Exception e) when (e is SocketException or IOException or ObjectDisposedException)
            {
                // The test is over.
            }
        }
    }

    public void Dispose()
    {
        foreach (var listener in listeners)
            listener.Dispose();
        Directory.Delete(FullName, recursive: true);
    }
}
