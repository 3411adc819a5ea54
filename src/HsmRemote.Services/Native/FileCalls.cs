using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace HsmRemote.Services.Native;

/// <summary>The file calls that .NET lacks: those relative to a directory that is held open, and flock(2).</summary>
static partial class FileCalls
{
    // The values of asm-generic, which x64 and riscv64 have; arm64 has others for two of them.
    internal static readonly int DirectoryOnly = IsArm ? 0x4000 : 0x10000;
    internal static readonly int NoFollow = IsArm ? 0x8000 : 0x20000;
    internal const int ReadWrite = 0x2;
    internal const int WriteOnly = 0x1;
    internal const int Create = 0x40;
    internal const int Exclusive = 0x80;
    internal const int CloseOnExec = 0x80000;
    internal const int PathOnly = 0x200000;

    /// <summary>AT_REMOVEDIR.</summary>
    internal const int RemoveDirectory = 0x200;

    /// <summary>LOCK_EX | LOCK_NB.</summary>
    internal const int LockOrFail = 2 | 4;

    static bool IsArm => RuntimeInformation.ProcessArchitecture is Architecture.Arm64 or Architecture.Arm;

    /// <exception cref="IOException">The call failed.</exception>
    internal static void Check(int result, string path)
    {
        if (result < 0)
            throw Failure(path);
    }

    /// <summary>Why the last call failed.</summary>
    internal static IOException Failure(string path) => new($"{path}: {Marshal.GetLastPInvokeErrorMessage()}");

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial SafeFileHandle open(string path, int flags, uint mode);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial SafeFileHandle openat(SafeFileHandle directory, string name, int flags, uint mode);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int renameat(SafeFileHandle oldDirectory, string oldName, SafeFileHandle newDirectory, string newName);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int unlinkat(SafeFileHandle directory, string name, int flags);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int mkdirat(SafeFileHandle directory, string name, uint mode);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial nint readlinkat(SafeFileHandle directory, string name, Span<byte> buffer, nint size);

    [LibraryImport("libc", SetLastError = true)]
    internal static partial int fchown(SafeFileHandle file, uint user, uint group);

    [LibraryImport("libc", SetLastError = true)]
    internal static partial int fchmod(SafeFileHandle file, uint mode);

    [LibraryImport("libc", SetLastError = true)]
    internal static partial int fsync(SafeFileHandle file);

    [LibraryImport("libc", SetLastError = true)]
    internal static partial int flock(SafeFileHandle file, int operation);
}
