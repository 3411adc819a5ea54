using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace HsmRemote.Services.Native;

/// <summary>A process that cannot become another one meanwhile, pidfd_open(2).</summary>
sealed partial class ProcessHandle : IDisposable
{
    // The same on every architecture.
    const nint SendSignal = 424;
    const nint Open = 434;
    const nint GetDescriptor = 438;
    const short Readable = 1;

    readonly SafeFileHandle handle;

    ProcessHandle(SafeFileHandle handle) => this.handle = handle;

    internal const int Terminate = 15;
    internal const int Kill = 9;

    /// <summary>The process; null when it has ended, or is another than the one that was started then.</summary>
    /// <param name="process">Its id.</param>
    /// <param name="startTicks">When it was started, see <see cref="ProcessView.StartTicks"/>.</param>
    internal static ProcessHandle? TryOpen(int process, ulong startTicks)
    {
        var descriptor = syscall(Open, process, 0, 0, 0);
        if (descriptor < 0)
            return null;
        var opened = new ProcessHandle(new SafeFileHandle(descriptor, ownsHandle: true));
        if (ProcessView.StartTicks(process) == startTicks)
            return opened;
        opened.Dispose();
        return null;
    }

    /// <summary>Who is on the other end of the socket that is its standard input, as the kernel noted it at connect(2).</summary>
    /// <returns>0 or errno: EPERM when the caller may not look into the process.</returns>
    internal unsafe int TryGetPeer(out PeerCredentials peer)
    {
        const int Socket = 1; // SOL_SOCKET
        const int Credentials = 17; // SO_PEERCRED
        peer = default;
        var descriptor = (int)syscall(GetDescriptor, handle.DangerousGetHandle(), 0, 0, 0);
        if (descriptor < 0)
            return Marshal.GetLastSystemError();
        using var standardInput = new SafeFileHandle(descriptor, ownsHandle: true);
        fixed (PeerCredentials* to = &peer)
        {
            var size = (uint)sizeof(PeerCredentials);
            return getsockopt(standardInput, Socket, Credentials, to, ref size) == 0 ? 0 : Marshal.GetLastSystemError();
        }
    }

    /// <summary>Sends it a signal.</summary>
    /// <returns>0 or errno.</returns>
    internal int Signal(int signal) => syscall(SendSignal, handle.DangerousGetHandle(), signal, 0, 0) == 0 ? 0 : Marshal.GetLastSystemError();

    /// <summary>Whether it ends within a time.</summary>
    internal bool WaitForExit(TimeSpan patience)
    {
        var entry = new PollEntry { Descriptor = (int)handle.DangerousGetHandle(), Events = Readable };
        return poll(ref entry, 1, (int)patience.TotalMilliseconds) > 0;
    }

    public void Dispose() => handle.Dispose();

    [StructLayout(LayoutKind.Sequential)]
    struct PollEntry
    {
        public int Descriptor;
        public short Events;
        public short Returned;
    }

    [LibraryImport("libc")]
    private static partial nint syscall(nint number, nint first, nint second, nint third, nint fourth);

    [LibraryImport("libc")]
    private static unsafe partial int getsockopt(SafeFileHandle socket, int level, int option, void* value, ref uint size);

    [LibraryImport("libc")]
    private static partial int poll(ref PollEntry entries, nuint count, int milliseconds);
}

/// <summary>struct ucred of unix(7).</summary>
[StructLayout(LayoutKind.Sequential)]
readonly struct PeerCredentials
{
    internal readonly int ProcessId;
    internal readonly uint UserId;
    internal readonly uint GroupId;
}
