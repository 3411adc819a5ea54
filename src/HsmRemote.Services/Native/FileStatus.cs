using System.Runtime.InteropServices;

namespace HsmRemote.Services.Native;

/// <summary>What statx(2) says of a file: its layout, unlike stat's, is the same on every architecture.</summary>
sealed record FileStatus(ushort Mode, uint UserId, uint GroupId, ulong Inode, uint DeviceMajor, uint DeviceMinor)
{
    internal UnixFileMode Permissions => (UnixFileMode)(Mode & 0xFFF);

    internal bool IsSocket => (Mode & 0xF000) == 0xC000;

    internal bool IsDirectory => (Mode & 0xF000) == 0x4000;

    /// <summary>Reads the status of what a path leads to; on failure the result is errno, else 0.</summary>
    internal static int TryRead(string path, out FileStatus status)
    {
        const int CurrentDirectory = -100; // AT_FDCWD
        const uint BasicStatistics = 0x7FF; // STATX_BASIC_STATS
        var failed = NativeMethods.statx(CurrentDirectory, path, 0, BasicStatistics, out var s) < 0;
        status = new FileStatus(s.Mode, s.UserId, s.GroupId, s.Inode, s.DeviceMajor, s.DeviceMinor);
        return failed ? Marshal.GetLastPInvokeError() : 0;
    }
}

static partial class NativeMethods
{
    /// <summary>struct statx of &lt;linux/stat.h&gt;: 256 bytes.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 256)]
    internal struct Statx
    {
        [FieldOffset(20)]
        public uint UserId;
        [FieldOffset(24)]
        public uint GroupId;
        [FieldOffset(28)]
        public ushort Mode;
        [FieldOffset(32)]
        public ulong Inode;
        [FieldOffset(136)]
        public uint DeviceMajor;
        [FieldOffset(140)]
        public uint DeviceMinor;
    }

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int statx(int directory, string path, int flags, uint mask, out Statx status);
}
