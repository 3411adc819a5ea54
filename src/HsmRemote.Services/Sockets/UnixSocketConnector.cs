using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text;
using HsmRemote.Services.Native;

namespace HsmRemote.Services.Sockets;

/// <summary>Connects to a Unix socket as an identity. .NET's own connect knows no other identity and hides errno.</summary>
static partial class UnixSocketConnector
{
    /// <summary>The longest path: sun_path of unix(7), less its terminating NUL.</summary>
    internal const int MaxPathBytes = PathCapacity - 1;

    const int PathCapacity = 108;
    const ushort FamilyUnix = 1;
    const int TypeStream = 1;
    const int NonBlocking = 0x800;
    const int CloseOnExec = 0x80000;

    static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(20);

    /// <summary>Fails when no program could connect to that path.</summary>
    internal static void RequireUsable(string path)
    {
        var length = Encoding.UTF8.GetByteCount(path);
        if (length > MaxPathBytes)
            throw new HsmRemoteException(
                "SocketPathTooLong", FailureKind.InvalidArgument, $"The path {path} has {length} bytes; a Unix socket's may have {MaxPathBytes}.", "Use a shorter path.", path);
    }

    /// <summary>Connects; while the listener's queue is full it tries again until it is told to stop.</summary>
    /// <returns>The socket, or errno: EAGAIN when the queue was full to the end.</returns>
    internal static async Task<(Socket? Socket, int Errno)> ConnectAsync(string path, P11Identity identity, CancellationToken cancellationToken)
    {
        var address = Address(path);
        var handle = Open();
        try
        {
            var errno = await TryAsync(handle);
            try
            {
                while (errno == Errno.EAGAIN)
                {
                    await Task.Delay(Pause, cancellationToken);
                    errno = await TryAsync(handle);
                }
            }
            catch (OperationCanceledException)
            {
                // In the pause or in an attempt: either way the last that is known is a full queue.
                return (null, Errno.EAGAIN);
            }

            if (errno != 0)
                return (null, errno);
            var socket = new Socket(handle);
            handle = null;
            return (socket, 0);
        }
        finally
        {
            handle?.Dispose();
        }

        Task<int> TryAsync(SafeHandle to) => IdentityThread.RunAsync(identity, thread => thread.Connect(to, address), cancellationToken);
    }

    /// <summary>Who listens, as the kernel noted it when the socket began to listen.</summary>
    internal static (int ProcessId, uint UserId, uint GroupId) Listener(Socket socket)
    {
        const int SolSocket = 1;
        const int SoPeerCred = 17;
        Span<byte> credentials = stackalloc byte[12];
        socket.GetRawSocketOption(SolSocket, SoPeerCred, credentials);
        var fields = MemoryMarshal.Cast<byte, uint>(credentials);
        return ((int)fields[0], fields[1], fields[2]);
    }

    static SafeSocketHandle Open()
    {
        var descriptor = socket(FamilyUnix, TypeStream | NonBlocking | CloseOnExec, 0);
        return descriptor >= 0
            ? new SafeSocketHandle(descriptor, ownsHandle: true)
            : throw new HsmRemoteException(
                "NoSocket", FailureKind.Unavailable, $"Cannot make a socket: {Marshal.GetPInvokeErrorMessage(Marshal.GetLastSystemError())}.",
                "Close what holds too many files open, or raise the limit with 'ulimit -n'.");
    }

    static byte[] Address(string path)
    {
        var address = new byte[sizeof(ushort) + PathCapacity];
        MemoryMarshal.Write(address, FamilyUnix);
        Encoding.UTF8.GetBytes(path, address.AsSpan(sizeof(ushort), MaxPathBytes));
        return address;
    }

    [LibraryImport("libc")]
    private static partial int socket(int domain, int type, int protocol);
}
