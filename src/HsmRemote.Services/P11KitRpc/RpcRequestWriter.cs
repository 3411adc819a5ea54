using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;

namespace HsmRemote.Services.P11KitRpc;

/// <summary>Writes the frame of one call after the other into one buffer. Arguments are held against the call's signature.</summary>
sealed class RpcRequestWriter
{
    // Call code, length of the options, length of the body.
    internal const int HeaderLength = 12;

    byte[] buffer = new byte[512];
    int length;
    string signature = "";
    int signatureAt;

    internal void Begin(RpcCall call, uint callCode)
    {
        length = 0;
        signature = call.Request;
        signatureAt = 0;
        BinaryPrimitives.WriteUInt32BigEndian(Take(4), callCode);
        BinaryPrimitives.WriteUInt32BigEndian(Take(4), 0);
        Take(4);
        BinaryPrimitives.WriteUInt32BigEndian(Take(4), call.Id);
        BinaryPrimitives.WriteUInt32BigEndian(Take(4), (uint)signature.Length);
        Encoding.ASCII.GetBytes(signature, Take(signature.Length));
    }

    internal ReadOnlyMemory<byte> End()
    {
        if (signatureAt != signature.Length)
            throw new InvalidOperationException($"Arguments are missing: '{signature[signatureAt..]}'.");
        BinaryPrimitives.WriteUInt32BigEndian(buffer.AsSpan(8), (uint)(length - HeaderLength));
        return buffer.AsMemory(0, length);
    }

    /// <summary>Forgets the frame: it may hold a PIN.</summary>
    internal void Clear() => CryptographicOperations.ZeroMemory(buffer.AsSpan(0, length));

    internal void Byte(byte value)
    {
        Next("y");
        Take(1)[0] = value;
    }

    internal void Ulong(ulong value)
    {
        Next("u");
        BinaryPrimitives.WriteUInt64BigEndian(Take(8), value);
    }

    internal void ByteArray(ReadOnlySpan<byte> value)
    {
        Next("ay");
        Take(1)[0] = 1;
        BinaryPrimitives.WriteUInt32BigEndian(Take(4), (uint)value.Length);
        value.CopyTo(Take(value.Length));
    }

    /// <summary>How many numbers the reply may hold.</summary>
    internal void UlongBuffer(int capacity)
    {
        Next("fu");
        BinaryPrimitives.WriteUInt32BigEndian(Take(4), (uint)capacity);
    }

    /// <summary>How many bytes the reply may hold.</summary>
    internal void ByteBuffer(int capacity)
    {
        Next("fy");
        BinaryPrimitives.WriteUInt32BigEndian(Take(4), (uint)capacity);
    }

    /// <summary>A template.</summary>
    internal void Attributes(IReadOnlyList<RpcAttribute> attributes)
    {
        Next("aA");
        BinaryPrimitives.WriteUInt32BigEndian(Take(4), (uint)attributes.Count);
        foreach (var (type, value) in attributes)
        {
            BinaryPrimitives.WriteUInt32BigEndian(Take(4), type);
            Take(1)[0] = value is null ? (byte)0 : (byte)1;
            if (value is null)
                continue;
            BinaryPrimitives.WriteUInt32BigEndian(Take(4), (uint)value.Length);
            if (RpcAttribute.FixedLength(type) is null)
                BinaryPrimitives.WriteUInt32BigEndian(Take(4), (uint)value.Length);
            value.CopyTo(Take(value.Length));
        }
    }

    /// <summary>Which attributes the reply is to hold, and how many bytes each may have.</summary>
    internal void AttributeBuffers(IReadOnlyList<uint> types, int capacity)
    {
        Next("fA");
        BinaryPrimitives.WriteUInt32BigEndian(Take(4), (uint)types.Count);
        foreach (var type in types)
        {
            BinaryPrimitives.WriteUInt32BigEndian(Take(4), type);
            BinaryPrimitives.WriteUInt32BigEndian(Take(4), (uint)(RpcAttribute.FixedLength(type) ?? capacity));
        }
    }

    /// <summary>A mechanism that takes no parameter.</summary>
    /// <param name="type">CKM_…</param>
    /// <param name="withParameter">Whether the far side reads that there is none, as p11-kit does before 0.25.6, or reads nothing.</param>
    internal void Mechanism(uint type, bool withParameter)
    {
        Next("M");
        BinaryPrimitives.WriteUInt32BigEndian(Take(4), type);
        if (withParameter)
            BinaryPrimitives.WriteUInt32BigEndian(Take(4), RpcAttribute.NullLength);
    }

    void Next(string code)
    {
        if (!signature.AsSpan(signatureAt).StartsWith(code, StringComparison.Ordinal))
            throw new InvalidOperationException($"Argument '{code}' does not follow from '{signature}' at {signatureAt}.");
        signatureAt += code.Length;
    }

    Span<byte> Take(int count)
    {
        if (buffer.Length - length < count)
        {
            var larger = new byte[Math.Max(buffer.Length * 2, length + count)];
            buffer.AsSpan(0, length).CopyTo(larger);
            Clear();
            buffer = larger;
        }

        var taken = buffer.AsSpan(length, count);
        length += count;
        return taken;
    }
}
