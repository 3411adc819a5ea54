using System.Buffers.Binary;
using System.Text;
using HsmRemote.Services.Pkcs11;

namespace HsmRemote.Services.P11KitRpc;

/// <summary>Reads the results of one call out of its reply's frame. Nothing is believed: every length is checked where it stands.</summary>
ref struct RpcReplyReader
{
    readonly RpcCall call;
    readonly ReadOnlySpan<byte> frame;
    int at;
    int signatureAt;

    /// <summary>Checks what every reply begins with; an error reply becomes a <see cref="Pkcs11ErrorException"/>.</summary>
    /// <param name="call">The call that was made.</param>
    /// <param name="frame">The whole frame.</param>
    /// <param name="body">Where the body begins.</param>
    internal RpcReplyReader(RpcCall call, ReadOnlySpan<byte> frame, int body)
    {
        const uint ErrorId = 0;
        this.call = call;
        this.frame = frame;
        at = body;

        var id = ReadUInt32("the call's number");
        var signature = ReadSignature();
        if (id == ErrorId && signature.SequenceEqual("u"u8))
        {
            var returnValue = ReadUInt64("a return value");
            if (returnValue == ReturnValue.Ok)
                throw Malformed(at - sizeof(ulong), "a return value other than CKR_OK in an error", "CKR_OK");
            ExpectEnd();
            throw new Pkcs11ErrorException(call.Function, returnValue);
        }

        if (id != call.Id)
            throw Malformed(body, $"call number {call.Id}", $"{id}");
        if (!Ascii.Equals(signature, call.Reply))
            throw Malformed(body + 4, $"signature '{call.Reply}'", $"'{RpcConnection.Printable(signature)}'");
    }

    internal byte Byte()
    {
        Next("y");
        return Take(1, "a byte")[0];
    }

    internal ulong Ulong()
    {
        Next("u");
        return ReadUInt64("a number");
    }

    internal (byte Major, byte Minor) Version()
    {
        Next("v");
        var version = Take(2, "a version");
        return (version[0], version[1]);
    }

    /// <summary>A field of fixed length, padded with spaces.</summary>
    internal byte[] PaddedString(int length)
    {
        Next("s");
        var found = ReadUInt32("the length of a string");
        return found == length
            ? Take(length, "a string").ToArray()
            : throw Malformed(at - sizeof(uint), $"a string of {length} bytes", $"one of {found}");
    }

    /// <summary>A list of numbers.</summary>
    /// <param name="capacity">The most that were asked for.</param>
    internal ulong[] UlongArray(int capacity)
    {
        Next("au");
        var start = at;
        var filled = Flag();
        var count = ReadUInt32("the length of a list");
        if (count > capacity)
            throw Malformed(start, $"at most {capacity} numbers", $"{count}");
        if (!filled)
            throw Malformed(start, "a list with its numbers", $"a list of {count} without them");
        var bytes = Take((int)count * sizeof(ulong), $"{count} numbers");
        var numbers = new ulong[count];
        for (var i = 0; i < numbers.Length; i++)
            numbers[i] = BinaryPrimitives.ReadUInt64BigEndian(bytes[(i * sizeof(ulong))..]);
        return numbers;
    }

    /// <summary>A byte array.</summary>
    /// <param name="capacity">The most that were asked for.</param>
    internal byte[] ByteArray(int capacity)
    {
        Next("ay");
        var start = at;
        var filled = Flag();
        var length = ReadUInt32("the length of a byte array");
        if (length > capacity)
            throw Malformed(start, $"at most {capacity} bytes", $"{length}");
        return filled
            ? Take((int)length, $"{length} bytes").ToArray()
            : throw Malformed(start, "a byte array with its bytes", $"a length of {length} without them");
    }

    /// <summary>The attributes that were asked for, in that order; without a value where the object has none to give.</summary>
    /// <param name="types">What was asked for.</param>
    /// <param name="capacity">The most bytes asked for of each.</param>
    internal RpcAttribute[] Attributes(IReadOnlyList<uint> types, int capacity)
    {
        Next("aA");
        var count = ReadUInt32("the number of attributes");
        if (count != types.Count)
            throw Malformed(at - sizeof(uint), $"{types.Count} attributes", $"{count}");
        var attributes = new RpcAttribute[types.Count];
        for (var i = 0; i < attributes.Length; i++)
        {
            var type = ReadUInt32("the type of an attribute");
            if (type != types[i])
                throw Malformed(at - sizeof(uint), $"attribute 0x{types[i]:X}", $"0x{type:X}");
            attributes[i] = new(type, Flag() ? AttributeValue(type, capacity) : null);
        }

        return attributes;
    }

    byte[]? AttributeValue(uint type, int capacity)
    {
        // First the length that the far side's structure has, then the value as the wire has it.
        ReadUInt32("the length of an attribute");
        if (RpcAttribute.FixedLength(type) is { } length)
            return Take(length, "an attribute's value").ToArray();
        var found = ReadUInt32("the length of an attribute's value");
        if (found == RpcAttribute.NullLength)
            return null;
        return found <= capacity
            ? Take((int)found, "an attribute's value").ToArray()
            : throw Malformed(at - sizeof(uint), $"at most {capacity} bytes", $"{found}");
    }

    /// <summary>To be called when all results are read: anything more was not agreed on.</summary>
    internal readonly void End()
    {
        if (signatureAt != call.Reply.Length)
            throw new InvalidOperationException($"Results of {call.Function} are left unread: '{call.Reply[signatureAt..]}'.");
        ExpectEnd();
    }

    readonly void ExpectEnd()
    {
        if (at != frame.Length)
            throw Malformed(at, "the end of the reply", $"{frame.Length - at} bytes more");
    }

    void Next(string code)
    {
        if (!call.Reply.AsSpan(signatureAt).StartsWith(code, StringComparison.Ordinal))
            throw new InvalidOperationException($"Result '{code}' does not follow from '{call.Reply}' at {signatureAt}.");
        signatureAt += code.Length;
    }

    ReadOnlySpan<byte> ReadSignature()
    {
        var length = ReadUInt32("the length of the signature");
        return length <= frame.Length - at
            ? Take((int)length, "the signature")
            : throw Malformed(at - sizeof(uint), "a signature within the reply", $"one of {length} bytes");
    }

    bool Flag() => Take(1, "0 or 1")[0] switch
    {
        0 => false,
        1 => true,
        var other => throw Malformed(at - 1, "0 or 1", $"{other}"),
    };

    uint ReadUInt32(string what) => BinaryPrimitives.ReadUInt32BigEndian(Take(sizeof(uint), what));

    ulong ReadUInt64(string what) => BinaryPrimitives.ReadUInt64BigEndian(Take(sizeof(ulong), what));

    ReadOnlySpan<byte> Take(int count, string what)
    {
        if (count > frame.Length - at)
            throw Malformed(at, what, "the end of the reply");
        var taken = frame.Slice(at, count);
        at += count;
        return taken;
    }

    readonly P11KitRpcException Malformed(int offset, string expected, string found) =>
        new(RpcFault.Malformed, call.Function, offset, expected, found);
}
