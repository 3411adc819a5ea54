using HsmRemote.Services.Native;

namespace HsmRemote.Services.Sockets;

/// <summary>What an identity may do by modes and ACLs, where the caller may not take it on and try.</summary>
sealed class ComputedAccess(P11Identity identity) : IPathProbe
{
    /// <summary>EPERM, which no file system gives for a look: the caller itself may not see the file, so that nothing can be said of it.</summary>
    internal const int Unknown = Errno.EPERM;

    public int Status(string path, out FileStatus status)
    {
        status = default;
        if (path is not "/" && Path.GetDirectoryName(path) is { } parent)
        {
            if (Look(parent, out var directory) is not 0 and var failed)
                return failed;
            if (!PosixAcl.Of(Reach(parent), directory).Allows(identity, directory, PosixAcl.Search))
                return Errno.EACCES;
        }

        return Look(path, out status);
    }

    public int ReadLink(string path, out string target)
    {
        target = new FileInfo(Reach(path)).LinkTarget ?? "";
        return target.Length > 0 ? 0 : Errno.ENOENT;
    }

    public int CanWrite(string path) =>
        Look(path, out var status) is not 0 and var errno ? errno
        : PosixAcl.Of(Reach(path), status).Allows(identity, status, PosixAcl.Write) ? 0 : Errno.EACCES;

    int Look(string path, out FileStatus status)
    {
        // The root of a process is a link in /proc, and has to be followed.
        var errno = path is "/" ? FileStatus.TryRead(Reach(path), out status) : FileStatus.TryReadLink(Reach(path), out status);
        return errno == Errno.EACCES ? Unknown : errno;
    }

    string Reach(string path) => ProcessView.Reach(identity, path);
}
