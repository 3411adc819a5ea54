using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace HsmRemote.Services.P11KitRpc;

/// <summary>Connects to a socket of a virtual machine or its host, vsock(7), a family that .NET's sockets do not know.</summary>
static partial class VirtualSocketConnector
{
    const ushort FamilyVsock = 40;
    const int TypeStream = 1;
    const int CloseOnExec = 0x80000;

    /// <summary>The connection, as a stream that obeys its token.</summary>
    /// <exception cref="IOException">It cannot be made.</exception>
    internal static async Task<Stream> ConnectAsync(uint contextId, uint port, CancellationToken cancellationToken)
    {
        // connect(2) waits for the far side, and can only be left behind.
        var handle = await Task.Run(() => Connect(contextId, port), CancellationToken.None).WaitAsync(cancellationToken);
        var stream = new FileStream(handle, FileAccess.ReadWrite, bufferSize: 0);
        return new DuplexStream(stream, stream);
    }

    static SafeFileHandle Connect(uint contextId, uint port)
    {
        var handle = new SafeFileHandle(socket(FamilyVsock, TypeStream | CloseOnExec, 0), ownsHandle: true);
        if (handle.IsInvalid)
            throw Failed();
        var address = new Address { Family = FamilyVsock, Port = port, ContextId = contextId };
        if (connect(handle, address, (uint)Marshal.SizeOf<Address>()) >= 0)
            return handle;
        var failure = Failed();
        handle.Dispose();
        throw failure;

        IOException Failed() => new($"AF_VSOCK cannot be connected to cid {contextId}, port {port}: {Marshal.GetLastPInvokeErrorMessage()}");
    }

    // struct sockaddr_vm of <linux/vm_sockets.h>.
    [StructLayout(LayoutKind.Sequential, Size = 16)]
    struct Address
    {
        internal ushort Family;
        internal ushort Reserved;
        internal uint Port;
        internal uint ContextId;
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int socket(int domain, int type, int protocol);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int connect(SafeFileHandle socket, in Address address, uint length);
}
