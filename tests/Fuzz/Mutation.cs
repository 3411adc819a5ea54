using System.Buffers.Binary;

namespace HsmRemote.Fuzz;

enum MutationKind
{
    Number,
    Flip,
    Insert,
    Remove,
    Cut,
    Replace,
}

/// <summary>One thing that is wrong with one reply.</summary>
/// <param name="Turn">Which reply, modulo how many there are.</param>
/// <param name="Kind">What is done to it.</param>
/// <param name="Offset">Where, modulo its length.</param>
/// <param name="Value">A number to put there, or the bit to flip.</param>
/// <param name="Bytes">Bytes to put there.</param>
/// <param name="Mends">Whether the frame's length is made to fit, so that the fault is found further in.</param>
sealed record Mutation(int Turn, MutationKind Kind, int Offset, uint Value, byte[] Bytes, bool Mends)
{
    const int BodyLengthAt = 8;
    const int HeaderLength = 12;

    internal byte[] Apply(byte[] reply)
    {
        var at = Offset % (reply.Length + 1);
        byte[] changed = Kind switch
        {
            MutationKind.Number => Overwrite(at),
            MutationKind.Flip => [.. reply.Select((b, i) => i == at ? (byte)(b ^ (1 << (int)(Value % 8))) : b)],
            MutationKind.Insert => [.. reply[..at], .. Bytes, .. reply[at..]],
            MutationKind.Remove => [.. reply[..at], .. reply[Math.Min(reply.Length, at + Bytes.Length)..]],
            MutationKind.Cut => reply[..at],
            _ => [.. reply[..at], .. Bytes],
        };
        if (Mends && changed.Length >= HeaderLength)
            BinaryPrimitives.WriteInt32BigEndian(changed.AsSpan(BodyLengthAt), changed.Length - HeaderLength);
        return changed;

        byte[] Overwrite(int start)
        {
            var number = new byte[sizeof(uint)];
            BinaryPrimitives.WriteUInt32BigEndian(number, Value);
            return [.. reply[..start], .. number.Take(reply.Length - start), .. reply[Math.Min(reply.Length, start + number.Length)..]];
        }
    }

    public override string ToString() => $"{Kind} in reply {Turn} at {Offset}: 0x{Value:X}, {Convert.ToHexString(Bytes)}{(Mends ? ", length mended" : "")}";
}
