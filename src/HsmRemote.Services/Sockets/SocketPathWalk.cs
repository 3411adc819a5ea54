using HsmRemote.Services.Native;

namespace HsmRemote.Services.Sockets;

/// <summary>How far an identity gets on the way to a path.</summary>
abstract record PathWalkResult
{
    /// <summary>It gets there.</summary>
    internal sealed record Found(string RealPath, FileStatus Status) : PathWalkResult;

    /// <summary>The way ends: there is no such file.</summary>
    internal sealed record Missing(string Path, string Why) : PathWalkResult;

    /// <summary>The way is barred.</summary>
    internal sealed record Barred(string Directory, FileStatus Status) : PathWalkResult;

    /// <summary>The caller, who only computes what the identity may, may not see on from there.</summary>
    internal sealed record Hidden(string Path) : PathWalkResult;
}

/// <summary>Walks a path directory by directory, symbolic links included, as an identity: errno alone does not say which directory it was.</summary>
static class SocketPathWalk
{
    // The kernel's own limit, path_resolution(7).
    const int MaxSymlinks = 40;

    internal static PathWalkResult Walk(IPathProbe probe, string path)
    {
        var ahead = new Stack<string>();
        Push(path);
        var directory = "/";
        var symlinks = 0;
        var errno = probe.Status(directory, out var directoryStatus);
        while (errno == 0 && ahead.TryPop(out var name))
        {
            // A directory that was reached has no symbolic link in its path, so that the one above it is the one before the last '/'.
            var next = name is "." ? directory : name is ".." ? Path.GetDirectoryName(directory) ?? "/" : Path.Join(directory, name);
            errno = probe.Status(next, out var status);
            if (errno == Errno.EACCES)
                return new PathWalkResult.Barred(directory, directoryStatus);
            if (errno == ComputedAccess.Unknown)
                return new PathWalkResult.Hidden(next);
            if (errno != 0)
                return Missing(next, errno);

            if (status.IsSymlink)
            {
                errno = ++symlinks > MaxSymlinks ? Errno.ELOOP : probe.ReadLink(next, out path);
                if (errno != 0)
                    return Missing(next, errno);
                if (Path.IsPathRooted(path))
                    errno = probe.Status(directory = "/", out directoryStatus);
                Push(path);
            }
            else if (ahead.Count == 0)
            {
                return new PathWalkResult.Found(next, status);
            }
            else if (status.IsDirectory)
            {
                (directory, directoryStatus) = (next, status);
            }
            else
            {
                return new PathWalkResult.Missing(next, $"it is {status.TypeName} where a directory has to be");
            }
        }

        return errno == 0 ? new PathWalkResult.Found(directory, directoryStatus) : Missing(directory, errno);

        void Push(string names)
        {
            foreach (var name in names.Split('/', StringSplitOptions.RemoveEmptyEntries).Reverse())
                ahead.Push(name);
        }
    }

    static PathWalkResult.Missing Missing(string path, int errno) => new(path, errno switch
    {
        Errno.ENOENT => "there is nothing of that name",
        _ => System.Runtime.InteropServices.Marshal.GetPInvokeErrorMessage(errno),
    });
}
