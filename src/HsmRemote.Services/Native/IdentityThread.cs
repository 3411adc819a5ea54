using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;

namespace HsmRemote.Services.Native;

/// <summary>A thread of its own, on which single system calls are made as another user: the kernel decides as it would for that user.</summary>
/// <remarks>
/// libc's setuid family changes every thread of the process; the raw system calls change the calling one only. The identity
/// is worn for the length of one call and taken off again, because a thread that .NET starts inherits the identity of the
/// thread that happens to start it (the pool's workers, the JIT's), and because an assembly that is loaded meanwhile may lie
/// where the other user cannot read. The thread ends with the work, so that nothing can be left on.
/// A process's identity has its root directory too: chroot(2) lets the kernel itself resolve a path, its symbolic links
/// included, as it does for that process.
/// </remarks>
sealed unsafe partial class IdentityThread : IPathProbe
{
    const int CloneFileSystem = 0x200;
    const int OpenPathOnly = 0x200000;
    const int OpenCloseOnExec = 0x80000;
    const int AtFdCwd = -100;
    const int AtSymlinkNoFollow = 0x100;
    const int AtEffectiveAccess = 0x200;
    const int WriteAccess = 2;
    const uint BasicStatus = 0x7FF;
    const int PathMax = 4096;

    // Whatever runs while the identity is worn is compiled before: see the remarks.
    const MethodImplOptions Precompiled = MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining;

    static readonly (nint SetGroups, nint SetResGid, nint SetResUid) Numbers = RuntimeInformation.ProcessArchitecture switch
    {
        Architecture.X64 => (116, 119, 117),
        Architecture.Arm64 or Architecture.RiscV64 or Architecture.LoongArch64 => (159, 149, 147),
        Architecture.Arm => (206, 210, 208),
        var other => throw new PlatformNotSupportedException($"The system call numbers of {other} are not known here."),
    };

    readonly uint ownUser = Accounts.geteuid();
    readonly uint ownGroup = Accounts.getegid();
    readonly uint[] ownGroups = [.. Accounts.OwnGroups()];
    readonly uint user;
    readonly uint group;
    readonly uint[] groups;
    readonly bool isOther;
    readonly byte[]? root;
    int ownRoot = -1;

    static IdentityThread() => Marshal.PrelinkAll(typeof(IdentityThread));

    IdentityThread(P11Identity identity)
    {
        user = identity.UserId;
        group = identity.GroupId;
        groups = [.. identity.SupplementaryGroupId];
        isOther = user != ownUser || group != ownGroup || !ownGroups.Append(ownGroup).ToHashSet().SetEquals(groups.Append(group));
        root = identity.ProcessId is { } process && ProcessView.Of(process) is { SeesOurFiles: false } view ? NullTerminated(view.Root) : null;
    }

    /// <summary>Whether the caller may make system calls as an identity; only root may as another.</summary>
    internal static bool MayActAs(P11Identity identity)
    {
        var self = new IdentityThread(identity);
        return self.ownUser == 0 || self.IsCaller;
    }

    /// <summary>Whether there is nothing to wear: the caller's own ids, and its own view of the files.</summary>
    bool IsCaller => !isOther && root is null;

    /// <summary>Runs <paramref name="work"/> on another thread, that can make system calls as <paramref name="identity"/>.</summary>
    /// <returns>Its result. A cancellation ends the wait at once, and leaves behind a call that hangs in the kernel.</returns>
    /// <exception cref="HsmRemoteException">IdentityNotPermitted: the caller may not take on the identity. Nothing was done.</exception>
    internal static Task<T> RunAsync<T>(P11Identity identity, Func<IdentityThread, T> work, CancellationToken cancellationToken)
    {
        var self = new IdentityThread(identity);
        if (!self.IsCaller && self.ownUser != 0)
            throw NotPermitted(identity, "only root may act as another user");
        // Then a thread of the pool, which is there already, does as well.
        if (self.IsCaller)
            return Task.Run(() => work(self), cancellationToken).WaitAsync(cancellationToken);

        var result = new TaskCompletionSource<T>(TaskCreationOptions.RunContinuationsAsynchronously);
        new Thread(Body, maxStackSize: 256 * 1024) { IsBackground = true, Name = "HsmRemote identity" }.Start();
        return result.Task.WaitAsync(cancellationToken);

        void Body()
        {
            try
            {
                if (self.OpenOwnRoot() is not 0 and var noRoot)
                    throw NotPermitted(identity, Marshal.GetPInvokeErrorMessage(noRoot));
                if (self.Rehearse() is not 0 and var errno)
                    throw errno is Errno.ENOENT or Errno.ESRCH && identity.ProcessId is { } process
                        ? ProcessView.NotFound(process)
                        : NotPermitted(identity, Marshal.GetPInvokeErrorMessage(errno));
                result.SetResult(work(self));
            }
            catch (Exception e)
            {
                result.SetException(e);
            }
            finally
            {
                if (self.ownRoot >= 0)
                    _ = close(self.ownRoot);
            }
        }
    }

    /// <inheritdoc/>
    public int Status(string path, out FileStatus status)
    {
        fixed (byte* name = NullTerminated(path))
        fixed (FileStatus* to = &status)
            return StatusAs(name, to);
    }

    /// <inheritdoc/>
    public int ReadLink(string path, out string target)
    {
        Span<byte> buffer = stackalloc byte[PathMax];
        fixed (byte* name = NullTerminated(path))
        fixed (byte* to = buffer)
        {
            var errno = ReadLinkAs(name, to, out var length);
            target = Encoding.UTF8.GetString(buffer[..length]);
            return errno;
        }
    }

    /// <inheritdoc/>
    public int CanWrite(string path)
    {
        fixed (byte* name = NullTerminated(path))
            return CanWriteAs(name);
    }

    /// <summary>Connects a socket; the credentials that the far side sees are the identity's.</summary>
    /// <returns>0 or errno.</returns>
    internal int Connect(SafeHandle socket, ReadOnlySpan<byte> address)
    {
        // Held, because who gave up waiting may close it, and the number may be another file's by then.
        var held = false;
        try
        {
            socket.DangerousAddRef(ref held);
            fixed (byte* to = address)
                return ConnectAs((int)socket.DangerousGetHandle(), to, (uint)address.Length);
        }
        finally
        {
            if (held)
                socket.DangerousRelease();
        }
    }

    [MethodImpl(Precompiled)]
    int StatusAs(byte* path, FileStatus* status)
    {
        if (PutOn() is not 0 and var refused)
            return refused;
        var result = statx(AtFdCwd, path, AtSymlinkNoFollow, BasicStatus, status);
        var errno = Marshal.GetLastSystemError();
        TakeOff();
        return result == 0 ? 0 : errno;
    }

    [MethodImpl(Precompiled)]
    int ReadLinkAs(byte* path, byte* target, out int length)
    {
        length = 0;
        if (PutOn() is not 0 and var refused)
            return refused;
        var result = readlink(path, target, PathMax);
        var errno = Marshal.GetLastSystemError();
        TakeOff();
        length = Math.Max(0, (int)result);
        return result >= 0 ? 0 : errno;
    }

    [MethodImpl(Precompiled)]
    int CanWriteAs(byte* path)
    {
        if (PutOn() is not 0 and var refused)
            return refused;
        var result = faccessat(AtFdCwd, path, WriteAccess, AtEffectiveAccess);
        var errno = Marshal.GetLastSystemError();
        TakeOff();
        return result == 0 ? 0 : errno;
    }

    [MethodImpl(Precompiled)]
    int ConnectAs(int socket, byte* address, uint length)
    {
        if (PutOn() is not 0 and var refused)
            return refused;
        var result = connect(socket, address, length);
        var errno = Marshal.GetLastSystemError();
        TakeOff();
        return result == 0 ? 0 : errno;
    }

    /// <summary>Gives the thread a root directory of its own, and keeps the way back from another.</summary>
    int OpenOwnRoot()
    {
        if (root is null)
            return 0;
        fixed (byte* path = "/\0"u8)
            ownRoot = open(path, OpenPathOnly | OpenCloseOnExec);
        return ownRoot >= 0 && unshare(CloneFileSystem) == 0 ? 0 : Marshal.GetLastSystemError();
    }

    /// <summary>Puts the identity on and off once: finds out whether it is allowed, and leaves nothing to be linked later.</summary>
    [MethodImpl(Precompiled)]
    int Rehearse()
    {
        var errno = PutOn();
        if (errno == 0)
            TakeOff();
        return errno;
    }

    [MethodImpl(Precompiled)]
    int PutOn()
    {
        if (root is not null)
        {
            fixed (byte* path = root)
            {
                if (chroot(path) != 0)
                    return Marshal.GetLastSystemError();
            }
        }

        if (!isOther)
            return 0;
        // Groups and gid while still root; the uid last. Keeping root as the saved uid is what lets it be taken off, and
        // does not count for files or peers: with the effective uid the effective capabilities go.
        nint failed;
        fixed (uint* list = groups)
            failed = syscall(Numbers.SetGroups, groups.Length, (nint)list, 0);
        if (failed == 0)
            failed = syscall(Numbers.SetResGid, (nint)group, (nint)group, (nint)group);
        if (failed == 0)
            failed = syscall(Numbers.SetResUid, (nint)user, (nint)user, (nint)ownUser);
        if (failed == 0)
            return 0;
        var errno = Marshal.GetLastSystemError();
        TakeOff();
        return errno;
    }

    [MethodImpl(Precompiled)]
    void TakeOff()
    {
        nint failed = 0;
        if (isOther)
        {
            failed |= syscall(Numbers.SetResUid, (nint)ownUser, (nint)ownUser, (nint)ownUser);
            failed |= syscall(Numbers.SetResGid, (nint)ownGroup, (nint)ownGroup, (nint)ownGroup);
            fixed (uint* list = ownGroups)
                failed |= syscall(Numbers.SetGroups, ownGroups.Length, (nint)list, 0);
        }

        if (root is not null)
        {
            failed |= fchdir(ownRoot);
            fixed (byte* here = ".\0"u8)
                failed |= chroot(here);
        }

        // Going on as the wrong user is worse than not going on.
        if (failed != 0)
            Environment.FailFast("A thread could not take its own identity back.");
    }

    static byte[] NullTerminated(string path) => Encoding.UTF8.GetBytes(path + '\0');

    static HsmRemoteException NotPermitted(P11Identity identity, string why) => new(
        "IdentityNotPermitted", FailureKind.PermissionDenied, $"Cannot connect as {identity}: {why}.", "Run this as root.", identity);

    [LibraryImport("libc")]
    private static partial nint syscall(nint number, nint first, nint second, nint third);

    [LibraryImport("libc")]
    private static partial int unshare(int flags);

    [LibraryImport("libc")]
    private static partial int open(byte* path, int flags);

    [LibraryImport("libc")]
    private static partial int close(int descriptor);

    [LibraryImport("libc")]
    private static partial int chroot(byte* path);

    [LibraryImport("libc")]
    private static partial int fchdir(int descriptor);

    [LibraryImport("libc")]
    private static partial int statx(int directory, byte* path, int flags, uint mask, FileStatus* status);

    [LibraryImport("libc")]
    private static partial nint readlink(byte* path, byte* buffer, nuint size);

    [LibraryImport("libc")]
    private static partial int faccessat(int directory, byte* path, int mode, int flags);

    [LibraryImport("libc")]
    private static partial int connect(int socket, byte* address, uint length);
}
