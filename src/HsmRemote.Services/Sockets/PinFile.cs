using System.Security;
using System.Security.Cryptography;
using System.Text;
using HsmRemote.Services.Native;

namespace HsmRemote.Services.Sockets;

/// <summary>A PIN in a file. Nobody but the caller may have been able to read it.</summary>
static class PinFile
{
    const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    // PKCS #11 sets no limit; no token takes as much.
    const int MaxLength = 1024;

    internal static SecureString Read(string path)
    {
        // A pipe would wait for who writes to it.
        if (FileStatus.TryRead(path, out var before) is not 0 and var errno)
            throw new HsmRemoteException("PinFileUnreadable", FailureKind.NotFound, $"The PIN cannot be read from {path}: {Message(errno)}.", "Check the path.", path);
        RequireSafe(path, before);

        var bytes = GC.AllocateUninitializedArray<byte>(MaxLength + 1, pinned: true);
        try
        {
            return ToPin(path, bytes.AsSpan(0, Read(path, bytes)));
        }
        finally
        {
            CryptographicOperations.ZeroMemory(bytes);
        }
    }

    static int Read(string path, byte[] bytes)
    {
        try
        {
            using var file = File.OpenHandle(path);
            // Once more, of what was opened: the path may lead elsewhere by now.
            if (FileStatus.TryRead($"/proc/self/fd/{file.DangerousGetHandle()}", out var opened) != 0)
                throw Unsafe(path, "what was opened cannot be looked at");
            RequireSafe(path, opened);
            return RandomAccess.Read(file, bytes, 0);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new HsmRemoteException(
                "PinFileUnreadable", FailureKind.PermissionDenied, $"The PIN cannot be read from {path}: {e.Message.TrimEnd('.')}.", "Give a file of your own, with mode 0600.", path, e);
        }
    }

    static SecureString ToPin(string path, Span<byte> bytes)
    {
        if (bytes.Length > MaxLength)
            throw Malformed(path, $"it holds more than {MaxLength} bytes");
        // An editor's newline is not part of the PIN.
        if (bytes is [.. var line, (byte)'\n'])
            bytes = line is [.. var text, (byte)'\r'] ? text : line;
        if (bytes.IsEmpty)
            throw Malformed(path, "it is empty");

        var characters = GC.AllocateUninitializedArray<char>(bytes.Length, pinned: true);
        try
        {
            if (!Encoding.UTF8.TryGetChars(bytes, characters, out var count) || characters.AsSpan(0, count).Contains('\uFFFD'))
                throw Malformed(path, "it is no UTF-8");
            var pin = new SecureString();
            foreach (var c in characters.AsSpan(0, count))
                pin.AppendChar(c);
            pin.MakeReadOnly();
            return pin;
        }
        finally
        {
            CryptographicOperations.ZeroMemory(System.Runtime.InteropServices.MemoryMarshal.AsBytes(characters.AsSpan()));
        }
    }

    static void RequireSafe(string path, FileStatus status)
    {
        if (!status.IsRegularFile)
            throw Unsafe(path, $"it is {status.TypeName}");
        if (status.UserId != Accounts.geteuid())
            throw Unsafe(path, $"it belongs to another user ({status.Describe()})");
        if ((status.Permissions & ~OwnerOnly) != UnixFileMode.None)
            throw Unsafe(path, $"others can read or change it ({status.Describe()})");
    }

    static HsmRemoteException Unsafe(string path, string why) => new(
        "PinFileUnsafe", FailureKind.PermissionDenied, $"The PIN is not read from {path}: {why}.",
        $"A file with a PIN is its reader's alone: chown it to this user and `chmod 0600 {path}`; a PIN that others could read is no secret any more.", path);

    static HsmRemoteException Malformed(string path, string why) => new(
        "PinFileMalformed", FailureKind.InvalidData, $"{path} holds no PIN: {why}.", "It holds the PIN as UTF-8 in one line, and nothing else.", path);

    static string Message(int errno) => System.Runtime.InteropServices.Marshal.GetPInvokeErrorMessage(errno);
}
