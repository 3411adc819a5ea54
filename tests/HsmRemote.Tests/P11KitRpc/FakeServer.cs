using System.Buffers.Binary;
using System.Text;

namespace HsmRemote.Tests.P11KitRpc;

/// <summary>A token that the fake server has.</summary>
sealed record FakeToken(string Label, string Manufacturer = "ACME", string Model = "T1", string Serial = "0001", ulong Flags = 0x40D)
{
    public string UtcTime { get; init; } = "";

    public char Padding { get; init; } = ' ';
}

/// <summary>What a p11-kit server answers, from memory; written from the description of the protocol, with none of the client's code.</summary>
sealed class FakeServer(params FakeToken[] tokens)
{
    const ulong FirstSlot = 17;
    const ulong SlotIdInvalid = 3;

    /// <summary>The calls that fail, and with what.</summary>
    public Dictionary<uint, ulong> Errors { get; } = [];

    /// <summary>The numbers of the calls that came.</summary>
    public List<uint> Calls { get; } = [];

    /// <summary>The reply to a whole request.</summary>
    public byte[] Reply(ReadOnlySpan<byte> request)
    {
        var code = BinaryPrimitives.ReadUInt32BigEndian(request);
        var body = request[12..];
        var call = BinaryPrimitives.ReadUInt32BigEndian(body);
        var arguments = body[(8 + (int)BinaryPrimitives.ReadUInt32BigEndian(body[4..]))..];
        Calls.Add(call);
        if (call is 5 or 6 && BinaryPrimitives.ReadUInt64BigEndian(arguments) - FirstSlot >= (ulong)tokens.Length)
            return Frame(code, Body(0, "u", U64(SlotIdInvalid)));
        if (Errors.TryGetValue(call, out var error))
            return Frame(code, Body(0, "u", U64(error)));
        switch (call)
        {
            case 1 or 2 or 26 or 28 or 42:
                return Frame(code, Body(call, ""));
            case 3:
                return Frame(code, Body(call, "vsusv", [2, 40], Text("ACME", 32), U64(0), Text("Fake", 32), [1, 2]));
            case 4:
                return Frame(code, Body(call, "au", [[1], U32((uint)tokens.Length), .. tokens.Select((_, i) => U64(FirstSlot + (ulong)i))]));
            case 5:
                return Frame(code, Body(call, "ssuvv", Text("Reader", 64), Text("ACME", 32), U64(5), [1, 0], [2, 0]));
            case 6:
                var token = tokens[BinaryPrimitives.ReadUInt64BigEndian(arguments) - FirstSlot];
                return Frame(code, Body(
                    call, "ssssuuuuuuuuuuuvvs",
                    [
                        Text(token.Label, 32, token.Padding), Text(token.Manufacturer, 32), Text(token.Model, 16), Text(token.Serial, 16), U64(token.Flags),
                        U64(0), U64(ulong.MaxValue), U64(0), U64(uint.MaxValue), U64(16), U64(4), U64(1000), U64(900), U64(ulong.MaxValue), U64(ulong.MaxValue),
                        [2, 6], [3, 1], Text(token.UtcTime, 16),
                    ]));
            case 7:
                return Frame(code, Body(call, "au", [1], U32(2), U64(1), U64(0x1041)));
            case 8:
                return Frame(code, Body(call, "uuu", U64(256), U64(521), U64(0x2800)));
            case 64:
                var length = BinaryPrimitives.ReadUInt32BigEndian(arguments[8..]);
                return Frame(code, Body(call, "ay", [1], U32(length), new byte[length]));
            default:
                return Frame(code, Body(0, "u", U64(0x54)));
        }
    }

    /// <summary>Serves one connection to its end.</summary>
    public async Task ServeAsync(Stream stream)
    {
        var version = new byte[1];
        await stream.ReadExactlyAsync(version);
        await stream.WriteAsync(version);
        while (await ReadRequestAsync(stream) is { } request)
            await stream.WriteAsync(Reply(request));
    }

    public static async Task<byte[]?> ReadRequestAsync(Stream stream)
    {
        var header = new byte[12];
        if (await stream.ReadAtLeastAsync(header, header.Length, throwOnEndOfStream: false) < header.Length)
            return null;
        var rest = new byte[BinaryPrimitives.ReadUInt32BigEndian(header.AsSpan(4)) + BinaryPrimitives.ReadUInt32BigEndian(header.AsSpan(8))];
        await stream.ReadExactlyAsync(rest);
        return [.. header, .. rest];
    }

    public static byte[] Frame(uint code, byte[] body) => [.. U32(code), .. U32(0), .. U32((uint)body.Length), .. body];

    public static byte[] Body(uint call, string signature, params byte[][] results) =>
        [.. U32(call), .. U32((uint)signature.Length), .. Encoding.ASCII.GetBytes(signature), .. results.SelectMany(r => r)];

    public static byte[] Text(string text, int length, char padding = ' ') => [.. U32((uint)length), .. Encoding.UTF8.GetBytes(text.PadRight(length, padding))];

    public static byte[] U32(uint value)
    {
        var bytes = new byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(bytes, value);
        return bytes;
    }

    public static byte[] U64(ulong value)
    {
        var bytes = new byte[8];
        BinaryPrimitives.WriteUInt64BigEndian(bytes, value);
        return bytes;
    }
}
