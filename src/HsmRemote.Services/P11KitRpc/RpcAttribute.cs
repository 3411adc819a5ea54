using System.Buffers.Binary;

namespace HsmRemote.Services.P11KitRpc;

/// <summary>CK_ATTRIBUTE, with its value as the wire has it.</summary>
/// <param name="Type">CKA_…</param>
/// <param name="Value">The bytes; null when the object has no such attribute, or does not give it.</param>
sealed record RpcAttribute(uint Type, byte[]? Value)
{
    /// <summary>The length that stands for no bytes at all, where one of 0 stands for none of them.</summary>
    internal const uint NullLength = uint.MaxValue;

    internal static RpcAttribute FromUlong(uint type, ulong value)
    {
        var bytes = new byte[sizeof(ulong)];
        BinaryPrimitives.WriteUInt64BigEndian(bytes, value);
        return new(type, bytes);
    }

    internal static RpcAttribute FromBool(uint type, bool value) => new(type, [value ? (byte)1 : (byte)0]);

    internal ulong? ToUlong() => Value is { Length: sizeof(ulong) } ? BinaryPrimitives.ReadUInt64BigEndian(Value) : null;

    internal bool? ToBool() => Value is { Length: 1 } ? Value[0] != 0 : null;

    /// <summary>The length of an attribute's value on the wire, which its type decides; null for bytes, which carry theirs.</summary>
    internal static int? FixedLength(uint type) => type switch
    {
        // CK_ULONG: CLASS, CERTIFICATE_TYPE, CERTIFICATE_CATEGORY, KEY_TYPE, MODULUS_BITS, PRIME_BITS, SUBPRIME_BITS, VALUE_BITS,
        // VALUE_LEN, KEY_GEN_MECHANISM.
        0x000 or 0x080 or 0x087 or 0x100 or 0x121 or 0x133 or 0x134 or 0x160 or 0x161 or 0x166 => sizeof(ulong),
        // CK_BBOOL: TOKEN, PRIVATE, TRUSTED, SENSITIVE to DERIVE (without START_DATE), EXTRACTABLE to ALWAYS_SENSITIVE, MODIFIABLE,
        // COPYABLE, ALWAYS_AUTHENTICATE, WRAP_WITH_TRUSTED.
        0x001 or 0x002 or 0x086 or (>= 0x103 and <= 0x10C) or (>= 0x162 and <= 0x165) or 0x170 or 0x171 or 0x202 or 0x210 => sizeof(byte),
        _ => null,
    };
}
