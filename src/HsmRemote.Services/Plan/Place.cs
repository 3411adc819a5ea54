using System.Runtime.InteropServices;
using System.Text;
using HsmRemote.Services.Native;
using Microsoft.Win32.SafeHandles;
using static HsmRemote.Services.Native.FileCalls;

namespace HsmRemote.Services.Plan;

/// <summary>
/// A name in a directory that is held open. On the way there no link was followed that somebody else may have planted:
/// one that is neither root's nor the caller's, or that stands where others may write. What is done with the name is done
/// in that very directory, whatever becomes of its path meanwhile.
/// </summary>
sealed class Place : IDisposable
{
    // What the kernel allows, path_resolution(7).
    const int MaxLinks = 40;
    const int MaxLinkBytes = 4096;

    Place(SafeFileHandle directory, string directoryPath, string name)
    {
        Directory = directory;
        DirectoryPath = directoryPath;
        Name = name;
    }

    internal SafeFileHandle Directory { get; }

    /// <summary>The directory's path, without links.</summary>
    internal string DirectoryPath { get; }

    /// <summary>The name in it. It is not that of a link.</summary>
    internal string Name { get; }

    internal string FullPath => Path.Combine(DirectoryPath, Name);

    /// <summary>Walks to a path. The last name need not be there; a link that may be followed is followed to its end.</summary>
    /// <param name="path">The absolute path.</param>
    /// <param name="followLast">Whether the last name is followed too when it is a link, or means the link itself.</param>
    /// <exception cref="HsmRemoteException">There is a link on the way that is not to be trusted.</exception>
    /// <exception cref="IOException">A directory on the way is not there.</exception>
    internal static Place Open(string path, bool followLast = true)
    {
        var left = new LinkedList<string>(Names(path));
        List<SafeFileHandle> walked = [OpenRoot()];
        List<string> names = [];
        try
        {
            for (var links = 0; ;)
            {
                var name = left.First?.Value ?? throw new IOException($"{path}: it is a directory");
                left.RemoveFirst();
                if (name is "..")
                {
                    // The way back is the way here, so that a directory which was moved leads nowhere else.
                    if (walked.Count > 1)
                    {
                        walked[^1].Dispose();
                        walked.RemoveAt(walked.Count - 1);
                        names.RemoveAt(names.Count - 1);
                    }

                    continue;
                }

                var error = FileStatus.TryReadAt(walked[^1], name, out var status);
                var isLast = left.Count == 0;
                if (error == 0 && status.IsSymlink && (!isLast || followLast))
                {
                    var at = "/" + string.Join('/', names.Append(name));
                    RequireTrusted(walked[^1], at, status);
                    if (++links > MaxLinks)
                        throw new IOException($"{path}: {Marshal.GetPInvokeErrorMessage(Errno.ELOOP)}");
                    var target = ReadLink(walked[^1], name, at);
                    if (target.StartsWith('/'))
                    {
                        walked.Skip(1).ToList().ForEach(handle => handle.Dispose());
                        walked.RemoveRange(1, walked.Count - 1);
                        names.Clear();
                    }

                    foreach (var part in Names(target).Reverse())
                        left.AddFirst(part);
                    continue;
                }

                if (isLast)
                {
                    var place = new Place(walked[^1], "/" + string.Join('/', names), name);
                    walked.RemoveAt(walked.Count - 1);
                    return place;
                }

                var next = openat(walked[^1], name, PathOnly | DirectoryOnly | NoFollow | CloseOnExec, 0);
                if (next.IsInvalid)
                {
                    var failure = Failure("/" + string.Join('/', names.Append(name)));
                    next.Dispose();
                    throw failure;
                }

                walked.Add(next);
                names.Add(name);
            }
        }
        finally
        {
            walked.ForEach(handle => handle.Dispose());
        }
    }

    /// <summary>Brings what was done in the directory to the disk.</summary>
    internal void Synchronize()
    {
        // What was opened to walk on cannot be synchronised.
        using var handle = openat(Directory, ".", DirectoryOnly | CloseOnExec, 0);
        if (handle.IsInvalid)
            throw Failure(DirectoryPath);
        Check(fsync(handle), DirectoryPath);
    }

    public void Dispose() => Directory.Dispose();

    static IEnumerable<string> Names(string path) =>
        path.Split('/', StringSplitOptions.RemoveEmptyEntries).Where(name => name is not ".");

    static SafeFileHandle OpenRoot()
    {
        var root = open("/", PathOnly | DirectoryOnly | CloseOnExec, 0);
        return root.IsInvalid ? throw Failure("/") : root;
    }

    static void RequireTrusted(SafeFileHandle directory, string link, in FileStatus status)
    {
        Check(FileStatus.TryReadAt(directory, "", out var parent) == 0 ? 0 : -1, link);
        // In a directory like /tmp anyone may plant one, but only its owner removes it.
        var isSticky = parent.Permissions.HasFlag(UnixFileMode.StickyBit);
        var isOpen = (parent.GroupMayWrite || parent.OthersMayWrite) && !isSticky;
        var suspect = !IsTrusted(status.UserId) ? status.UserId : !IsTrusted(parent.UserId) ? parent.UserId : (uint?)null;
        if (suspect is null && !isOpen)
            return;
        var who = suspect is { } id ? $"the user {Accounts.FindUser(id)?.Name ?? $"{id}"}" : "anyone of the group or others that may write to its directory";
        throw new HsmRemoteException(
            "LinkNotTrusted", FailureKind.PermissionDenied, $"{link} is a symbolic link that {who} may have planted, so it is not followed.",
            "Put a file or a directory of root's in its place.", link);
    }

    static bool IsTrusted(uint user) => user == 0 || user == Accounts.geteuid();

    static string ReadLink(SafeFileHandle directory, string name, string path)
    {
        var buffer = new byte[MaxLinkBytes];
        var length = readlinkat(directory, name, buffer, buffer.Length);
        return length < 0 ? throw Failure(path) : Encoding.UTF8.GetString(buffer, 0, (int)length);
    }
}
