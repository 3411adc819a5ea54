using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace HsmRemote.Services.Native;

/// <summary>What statx(2) says of a file. The structure is the same on every architecture.</summary>
[StructLayout(LayoutKind.Sequential, Size = 256)]
partial struct FileStatus
{
    const uint BasicStatistics = 0x7FF; // STATX_BASIC_STATS
    const ushort TypeMask = 0xF000;
    const ushort Socket = 0xC000;
    const ushort Symlink = 0xA000;
    const ushort Directory = 0x4000;

    readonly uint mask;
    readonly uint blockSize;
    readonly ulong attributes;
    readonly uint links;
    internal readonly uint UserId;
    internal readonly uint GroupId;
    readonly ushort mode;
    readonly ushort padding;
    internal readonly ulong Inode;
    readonly SizeAndTimes sizeAndTimes;
    readonly ulong representedDevice;
    readonly ulong device;

    // stx_size to stx_mtime.
    [InlineArray(11)]
    struct SizeAndTimes
    {
        ulong first;
    }

    internal readonly UnixFileMode Permissions => (UnixFileMode)(mode & 0xFFF);

    internal readonly bool IsSocket => (mode & TypeMask) == Socket;

    internal readonly bool IsSymlink => (mode & TypeMask) == Symlink;

    internal readonly bool IsDirectory => (mode & TypeMask) == Directory;

    internal readonly bool IsRegularFile => (mode & TypeMask) == 0x8000;

    internal readonly bool GroupMayWrite => (mode & 0x10) != 0;

    internal readonly bool OthersMayWrite => (mode & 0x2) != 0;

    /// <summary>Whether it is the same file, by whatever path and in whatever mount namespace it was found.</summary>
    internal readonly bool IsSameFileAs(in FileStatus other) => Inode == other.Inode && device == other.device;

    internal readonly bool IsOnSameDeviceAs(in FileStatus other) => device == other.device;

    internal readonly string TypeName => (mode & TypeMask) switch
    {
        Socket => "a socket",
        Symlink => "a symbolic link",
        Directory => "a directory",
        0x8000 => "a regular file",
        0x2000 => "a character device",
        0x6000 => "a block device",
        0x1000 => "a pipe",
        _ => "an unknown type of file",
    };

    /// <summary>Mode, owner and group in one expression: <c>0660 root:hsm(992)</c>.</summary>
    internal readonly string Describe() =>
        $"0{Convert.ToString(mode & 0xFFF, 8).PadLeft(3, '0')} {Accounts.FindUser(UserId)?.Name ?? "?"}({UserId}):{Accounts.FindGroup(GroupId)?.Name ?? "?"}({GroupId})";

    /// <summary>Reads the status of what a path leads to; on failure the result is errno, else 0.</summary>
    internal static int TryRead(string path, out FileStatus status) => TryRead(path, 0, out status);

    /// <summary>The same of a symbolic link itself.</summary>
    internal static int TryReadLink(string path, out FileStatus status)
    {
        const int SymlinkNoFollow = 0x100; // AT_SYMLINK_NOFOLLOW
        return TryRead(path, SymlinkNoFollow, out status);
    }

    /// <summary>The same of a name in a directory that is held open, a link itself included; with an empty name, of what is held open.</summary>
    internal static int TryReadAt(SafeFileHandle directory, string name, out FileStatus status)
    {
        const int SymlinkNoFollow = 0x100; // AT_SYMLINK_NOFOLLOW
        const int EmptyPath = 0x1000; // AT_EMPTY_PATH
        return statx(directory, name, SymlinkNoFollow | EmptyPath, BasicStatistics, out status) < 0 ? Marshal.GetLastPInvokeError() : 0;
    }

    static int TryRead(string path, int flags, out FileStatus status)
    {
        const int CurrentDirectory = -100; // AT_FDCWD
        return statx(CurrentDirectory, path, flags, BasicStatistics, out status) < 0 ? Marshal.GetLastPInvokeError() : 0;
    }

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int statx(int directory, string path, int flags, uint mask, out FileStatus status);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int statx(SafeFileHandle directory, string path, int flags, uint mask, out FileStatus status);
}
