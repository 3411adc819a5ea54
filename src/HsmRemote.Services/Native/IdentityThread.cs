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
/// </remarks>
sealed unsafe partial class IdentityThread
{
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

    static IdentityThread() => Marshal.PrelinkAll(typeof(IdentityThread));

    IdentityThread(P11Identity identity)
    {
        user = identity.UserId;
        group = identity.GroupId;
        groups = [.. identity.SupplementaryGroupId];
        isOther = user != ownUser || group != ownGroup || !ownGroups.Append(ownGroup).ToHashSet().SetEquals(groups.Append(group));
    }

    /// <summary>Runs <paramref name="work"/> on another thread, that can make system calls as <paramref name="identity"/>.</summary>
    /// <returns>Its result. A cancellation ends the wait at once, and leaves behind a call that hangs in the kernel.</returns>
    /// <exception cref="HsmRemoteException">IdentityNotPermitted: the caller may not take on the identity. Nothing was done.</exception>
    internal static Task<T> RunAsync<T>(P11Identity identity, Func<IdentityThread, T> work, CancellationToken cancellationToken)
    {
        var self = new IdentityThread(identity);
        if (self.isOther && self.ownUser != 0)
            throw NotPermitted(identity, "only root may act as another user");
        // As itself there is nothing to wear, and a thread of the pool, which is there already, does as well.
        if (!self.isOther)
            return Task.Run(() => work(self), cancellationToken).WaitAsync(cancellationToken);

        var result = new TaskCompletionSource<T>(TaskCreationOptions.RunContinuationsAsynchronously);
        new Thread(Body, maxStackSize: 256 * 1024) { IsBackground = true, Name = "HsmRemote identity" }.Start();
        return result.Task.WaitAsync(cancellationToken);

        void Body()
        {
            try
            {
                if (self.Rehearse() is not 0 and var errno)
                    throw NotPermitted(identity, Marshal.GetPInvokeErrorMessage(errno));
                result.SetResult(work(self));
            }
            catch (Exception e)
            {
                result.SetException(e);
            }
        }
    }

    /// <summary>The status of a file, not followed when it is a symbolic link.</summary>
    /// <returns>0 or errno.</returns>
    internal int Status(string path, out FileStatus status)
    {
        fixed (byte* name = NullTerminated(path))
        fixed (FileStatus* to = &status)
            return StatusAs(name, to);
    }

    /// <summary>Where a symbolic link points.</summary>
    /// <returns>0 or errno.</returns>
    internal int ReadLink(string path, out string target)
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

    /// <summary>Whether a file may be written to.</summary>
    /// <returns>0 or errno.</returns>
    internal int CanWrite(string path)
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
        if (!isOther)
            return;
        var failed = syscall(Numbers.SetResUid, (nint)ownUser, (nint)ownUser, (nint)ownUser);
        failed |= syscall(Numbers.SetResGid, (nint)ownGroup, (nint)ownGroup, (nint)ownGroup);
        fixed (uint* list = ownGroups)
            failed |= syscall(Numbers.SetGroups, ownGroups.Length, (nint)list, 0);
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
    private static partial int statx(int directory, byte* path, int flags, uint mask, FileStatus* status);

    [LibraryImport("libc")]
    private static partial nint readlink(byte* path, byte* buffer, nuint size);

    [LibraryImport("libc")]
    private static partial int faccessat(int directory, byte* path, int mode, int flags);

    [LibraryImport("libc")]
    private static partial int connect(int socket, byte* address, uint length);
}
