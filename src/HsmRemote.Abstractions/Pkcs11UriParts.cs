using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace HsmRemote;

/// <summary>Where a value is in the buffer that all values of a URI share. The default says that there is none.</summary>
[StructLayout(LayoutKind.Auto)]
readonly struct Pkcs11UriPart(int start, int length)
{
    readonly int end = start + length + 1;

    internal bool IsPresent => end > 0;

    internal int Length => end - start - 1;

    internal ReadOnlySpan<byte> Of(byte[] buffer) => IsPresent ? buffer.AsSpan(start, Length) : default;
}

/// <summary>One part for each attribute of the RFC, without an array of its own.</summary>
[InlineArray(Pkcs11UriAttributes.Count)]
struct Pkcs11UriParts
{
    Pkcs11UriPart first;
}

/// <summary>An attribute that the RFC does not name.</summary>
[StructLayout(LayoutKind.Auto)]
readonly record struct Pkcs11UriVendorAttribute(string Name, Pkcs11UriPart Part);
