using System.Runtime.InteropServices;
using System.Text;
using HsmRemote.Services.Native;
using static HsmRemote.Services.Native.FileCalls;

namespace HsmRemote.Services.Plan;

/// <summary>A file as it is or is to be: content, mode, owner.</summary>
sealed record FileImage(byte[] Content, UnixFileMode Mode, uint UserId, uint GroupId)
{
    const UnixFileMode WriteOfOthers = UnixFileMode.GroupWrite | UnixFileMode.OtherWrite;

    /// <summary>A file that HsmRemote writes for everybody to read: root's, or the user's whose instance it is of, 0644.</summary>
    internal static FileImage Ours(string content, P11KitServerScope scope = P11KitServerScope.System) => new(
        Encoding.UTF8.GetBytes(content), UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.OtherRead,
        scope == P11KitServerScope.User ? Accounts.geteuid() : 0, scope == P11KitServerScope.User ? Accounts.getegid() : 0);

    /// <summary>The same file with other content, which nobody but its owner may write.</summary>
    internal FileImage With(byte[] content) => this with { Content = content, Mode = Mode & ~WriteOfOthers };

    internal bool IsSame(FileImage? other) =>
        other is not null && Mode == other.Mode && UserId == other.UserId && GroupId == other.GroupId && Content.AsSpan().SequenceEqual(other.Content);
}

/// <summary>Files are replaced whole: a reader, or a crash at any moment, meets the old file or the new one.</summary>
static class AtomicFile
{
    // systemd and p11-kit read files by their endings: this is one that they do not know.
    const string Ending = ".hsmremote";

    /// <summary>What is at a path, or null when nothing is. Follows a link.</summary>
    internal static FileImage? Read(string path)
    {
        // A directory is none.
        if (!File.Exists(path))
            return null;
        try
        {
            // One file is opened, whose all of it is: somebody may put another in its place at any time, and that one's mode would open this one's content.
            using var stream = File.OpenRead(path);
            Check(FileStatus.TryReadAt(stream.SafeFileHandle, "", out var status) == 0 ? 0 : -1, path);
            using var content = new MemoryStream();
            stream.CopyTo(content);
            return new FileImage(content.ToArray(), status.Permissions, status.UserId, status.GroupId);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            // Another run has removed it since: that of another instance, whose files are read for the list of all.
            return null;
        }
    }

    /// <summary>Puts a file in place: written beside, synchronised, renamed over, and the directory synchronised.</summary>
    internal static void Write(string path, FileImage image)
    {
        // An administrator's link stays: what it leads to is replaced.
        using var place = Place.Open(path);
        // p11-kit reads every file of a directory of modules, whatever it is called: there a file is made ready in the one above.
        using var above = IsModuleDirectory(place.DirectoryPath) ? Place.Open(place.DirectoryPath) : null;
        var ready = (above ?? place).Directory;
        RemoveLeftovers(Path.Combine((above ?? place).DirectoryPath, place.Name));
        var beside = $"{Prefix(place.Name)}{Path.GetRandomFileName()}{Ending}";
        try
        {
            // 0600 before the first byte, whatever the mode will be: the content may be a secret.
            using (var file = openat(ready, beside, WriteOnly | Create | Exclusive | NoFollow | CloseOnExec, 0x180))
            {
                if (file.IsInvalid)
                    throw Failure((above ?? place).DirectoryPath);
                RandomAccess.Write(file, image.Content, 0);
                Check(fchown(file, image.UserId, image.GroupId), path);
                Check(fchmod(file, (uint)image.Mode), path);
                Check(fsync(file), path);
            }

            Check(renameat(ready, beside, place.Directory, place.Name), path);
        }
        catch
        {
            _ = unlinkat(ready, beside, 0);
            throw;
        }

        place.Synchronize();
    }

    /// <summary>Removes a file, or a link itself; nothing there is fine.</summary>
    internal static void Delete(string path)
    {
        using var place = Place.Open(path, followLast: false);
        if (unlinkat(place.Directory, place.Name, 0) < 0 && Marshal.GetLastPInvokeError() != Errno.ENOENT)
            throw Failure(path);
        place.Synchronize();
    }

    /// <summary>Removes what a run that was killed left beside a file. The caller sees to it that no other run is writing it.</summary>
    internal static void RemoveLeftovers(string path)
    {
        var directory = Path.GetDirectoryName(path)!;
        if (!Directory.Exists(directory))
            return;
        var prefix = Prefix(Path.GetFileName(path));
        // Not by a pattern: a name may have characters that mean something in one.
        foreach (var left in Directory.EnumerateFiles(directory).Where(file =>
            Path.GetFileName(file) is var name && name.StartsWith(prefix, StringComparison.Ordinal) && name.EndsWith(Ending, StringComparison.Ordinal)))
            Delete(left);
    }

    static bool IsModuleDirectory(string directory) =>
        directory.EndsWith("/pkcs11/modules", StringComparison.Ordinal)
        && FileStatus.TryRead(directory, out var own) == 0 && FileStatus.TryRead(Path.GetDirectoryName(directory)!, out var other) == 0 && own.IsOnSameDeviceAs(other);

    static string Prefix(string name) => $".{name}.";
}
