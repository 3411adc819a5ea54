using System.Runtime.InteropServices;
using System.Security;
using System.Security.Cryptography;
using System.Text;

namespace HsmRemote.Services.Sockets;

/// <summary>A PIN as the UTF-8 that C_Login takes, for as long as it is needed. It is never a string, and the collector makes no copy.</summary>
sealed class PinBytes : IDisposable
{
    readonly byte[] bytes;
    readonly int length;

    internal unsafe PinBytes(SecureString pin)
    {
        bytes = GC.AllocateUninitializedArray<byte>(Encoding.UTF8.GetMaxByteCount(pin.Length), pinned: true);
        var characters = Marshal.SecureStringToGlobalAllocUnicode(pin);
        try
        {
            length = Encoding.UTF8.GetBytes(new ReadOnlySpan<char>((void*)characters, pin.Length), bytes);
        }
        finally
        {
            Marshal.ZeroFreeGlobalAllocUnicode(characters);
        }
    }

    internal PinBytes(ReadOnlySpan<byte> pin)
    {
        length = pin.Length;
        bytes = GC.AllocateUninitializedArray<byte>(length, pinned: true);
        pin.CopyTo(bytes);
    }

    internal ReadOnlySpan<byte> Span => bytes.AsSpan(0, length);

    /// <summary>What it lies in, with room behind it.</summary>
    internal byte[] Buffer => bytes;

    public void Dispose() => CryptographicOperations.ZeroMemory(bytes);
}
