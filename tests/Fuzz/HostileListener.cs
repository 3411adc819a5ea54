using System.Net.Sockets;

namespace HsmRemote.Fuzz;

/// <summary>A hostile server behind a real socket; it serves one connection after the other.</summary>
sealed class HostileListener : IDisposable
{
    // A client that waits for the rest of a reply would wait to its timeout; where a case is not about that, it learns sooner.
    static readonly TimeSpan Patience = TimeSpan.FromMilliseconds(20);

    readonly DirectoryInfo directory = Directory.CreateTempSubdirectory("hsmremote-fuzz-");
    readonly Socket listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);

    internal HostileListener()
    {
        SocketPath = Path.Combine(directory.FullName, "pkcs11");
        listener.Bind(new UnixDomainSocketEndPoint(SocketPath));
        listener.Listen();
    }

    internal string SocketPath { get; }

    /// <summary>Serves the next connection, until the client goes.</summary>
    internal async Task ServeAsync(HostileCase hostile)
    {
        using var connection = await listener.AcceptAsync();
        var request = new byte[4096];
        using var patience = new CancellationTokenSource();
        try
        {
            foreach (var reply in hostile.Script())
            {
                if (hostile.End != PeerEnd.Stalls)
                    patience.CancelAfter(Patience);
                if (await connection.ReceiveAsync(request, patience.Token) == 0)
                    return;
                for (var at = 0; at < reply.Length; at += hostile.Chunk)
                    await connection.SendAsync(reply.AsMemory(at, Math.Min(hostile.Chunk, reply.Length - at)));
            }

            while (hostile.End == PeerEnd.Stalls && await connection.ReceiveAsync(request) > 0)
            {
            }
        }
        catch (Exception e) when (e is SocketException or OperationCanceledException)
        {
            // One of them has seen enough.
        }
    }

    public void Dispose()
    {
        listener.Dispose();
        directory.Delete(recursive: true);
    }
}
