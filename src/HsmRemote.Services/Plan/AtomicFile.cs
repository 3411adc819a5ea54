using System.Runtime.InteropServices;
using System.Text;
using HsmRemote.Services.Native;
using Microsoft.Win32.SafeHandles;

namespace HsmRemote.Services.Plan;

/// <summary>A file as it is or is to be: content, mode, owner.</summary>
sealed record FileImage(byte[] Content, UnixFileMode Mode, uint UserId, uint GroupId)
{
    /// <summary>A file that HsmRemote writes for everybody to read: root's, 0644.</summary>
    internal static FileImage Ours(string content) => new(
        Encoding.UTF8.GetBytes(content), UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.OtherRead, 0, 0);

    internal bool IsSame(FileImage? other) =>
        other is not null && Mode == other.Mode && UserId == other.UserId && GroupId == other.GroupId && Content.AsSpan().SequenceEqual(other.Content);
}

/// <summary>Files are replaced whole: a reader, or a crash at any moment, meets the old file or the new one.</summary>
static partial class AtomicFile
{
    /// <summary>What is at a path, or null when nothing is. Follows a link.</summary>
    internal static FileImage? Read(string path)
    {
        if (!File.Exists(path))
            return null;
        var content = File.ReadAllBytes(path);
        if (FileStatus.TryRead(path, out var status) is not 0 and var error)
            throw new IOException($"{path}: {Marshal.GetPInvokeErrorMessage(error)}");
        return new FileImage(content, status.Permissions, status.UserId, status.GroupId);
    }

    /// <summary>Puts a file in place: written beside, synchronised, renamed over, and the directory synchronised.</summary>
    internal static void Write(string path, FileImage image)
    {
        // A link is the administrator's: what it leads to is replaced, not the link.
        var target = FinalPath.Of(path);
        var directory = Path.GetDirectoryName(target)!;
        // systemd reads files by their endings: this one has none that it knows.
        var beside = Path.Combine(Staging(directory), $".{Path.GetFileName(target)}.{Path.GetRandomFileName()}.new");
        try
        {
            // 0600 before the first byte, whatever the mode will be: the content may be a secret.
            var options = new FileStreamOptions
            {
                Mode = FileMode.CreateNew,
                Access = FileAccess.Write,
                UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
            };
            using (var stream = new FileStream(beside, options))
            {
                stream.Write(image.Content);
                Check(fchown(stream.SafeFileHandle, image.UserId, image.GroupId), beside);
                File.SetUnixFileMode(stream.SafeFileHandle, image.Mode);
                stream.Flush(flushToDisk: true);
            }

            File.Move(beside, target, overwrite: true);
            SynchronizeDirectory(directory);
        }
        catch
        {
            File.Delete(beside);
            throw;
        }
    }

    internal static void Delete(string path)
    {
        File.Delete(path);
        SynchronizeDirectory(Path.GetDirectoryName(path)!);
    }

    /// <summary>
    /// Where a file is made ready. p11-kit reads every file of a directory of modules, whatever its ending, and loads no module
    /// at all when it may not read one: so there it is the directory above.
    /// </summary>
    static string Staging(string directory)
    {
        const string Modules = "/pkcs11/modules";
        var above = Path.GetDirectoryName(directory)!;
        return directory.EndsWith(Modules, StringComparison.Ordinal)
            && FileStatus.TryRead(directory, out var own) == 0 && FileStatus.TryRead(above, out var other) == 0 && own.IsOnSameDeviceAs(other)
            ? above : directory;
    }

    static void SynchronizeDirectory(string path)
    {
        // A rename is on disk only when its directory is. .NET opens no directories, so this asks the system itself.
        const int CloseOnExec = 0x80000;
        using var handle = open(path, CloseOnExec);
        if (handle.IsInvalid)
            throw new IOException($"{path}: {Marshal.GetLastPInvokeErrorMessage()}");
        Check(fsync(handle), path);
    }

    static void Check(int result, string path)
    {
        if (result < 0)
            throw new IOException($"{path}: {Marshal.GetLastPInvokeErrorMessage()}");
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fchown(SafeFileHandle file, uint user, uint group);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial SafeFileHandle open(string path, int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fsync(SafeFileHandle file);
}
