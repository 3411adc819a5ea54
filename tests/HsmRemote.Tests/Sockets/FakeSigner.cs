using System.Buffers.Binary;
using System.Formats.Asn1;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using HsmRemote.Tests.P11KitRpc;

namespace HsmRemote.Tests.Sockets;

/// <summary>A server whose one token logs in and signs, and can be brought to what no software token does.</summary>
sealed class FakeSigner : IDisposable
{
    public const ulong InitialisedWithPin = 0x40D;
    const ulong PublicKey = 11;
    const ulong Certificate = 21;

    readonly ECDsa ec = ECDsa.Create(ECCurve.NamedCurves.nistP256);
    readonly RSA rsa = RSA.Create(2048);
    readonly FakeServer server;
    ulong found;

    public FakeSigner(ulong flags = InitialisedWithPin) => server = new(new FakeToken("One", Flags: flags));

    public bool IsRsa { get; init; }

    /// <summary>CKA_KEY_TYPE, where it is neither of the two.</summary>
    public ulong? KeyType { get; init; }

    public int Keys { get; init; } = 1;

    public bool HasPublicKey { get; init; } = true;

    public bool HasCertificate { get; init; }

    /// <summary>C_Login's return value.</summary>
    public ulong LoginResult { get; init; }

    /// <summary>C_SignInit's return value.</summary>
    public ulong SignInitResult { get; init; }

    public bool SignsWrongly { get; init; }

    /// <summary>Reads mechanisms as p11-kit 0.25.6 and later do.</summary>
    public bool IsNew { get; init; }

    /// <summary>The number of the call that is never answered, 0 for none.</summary>
    public uint StallsAt { get; init; }

    /// <summary>Set when that call has come.</summary>
    public TaskCompletionSource Stalled { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public int Logins { get; private set; }

    /// <summary>The PIN that came last.</summary>
    public byte[] Pin { get; private set; } = [];

    public void Dispose()
    {
        ec.Dispose();
        rsa.Dispose();
    }

    public async Task ServeAsync(Socket connection)
    {
        await using var stream = new NetworkStream(connection);
        var version = new byte[1];
        await stream.ReadExactlyAsync(version);
        await stream.WriteAsync(version);
        while (await FakeServer.ReadRequestAsync(stream) is { } request)
        {
            if (StallsAt != 0 && BinaryPrimitives.ReadUInt32BigEndian(request.AsSpan(12)) == StallsAt)
                Stalled.TrySetResult();
            else
                await stream.WriteAsync(Reply(request));
        }
    }

    byte[] Reply(byte[] request)
    {
        var code = BinaryPrimitives.ReadUInt32BigEndian(request);
        var call = BinaryPrimitives.ReadUInt32BigEndian(request.AsSpan(12));
        var arguments = request.AsSpan(20 + (int)BinaryPrimitives.ReadUInt32BigEndian(request.AsSpan(16)));
        switch (call)
        {
            case 10:
                return Ok("u", FakeServer.U64(1));
            case 18:
                Logins++;
                Pin = arguments[21..].ToArray();
                return LoginResult == 0 ? Ok("") : Error(LoginResult);
            case 24:
                return Ok("aAu", [Attributes(arguments), FakeServer.U64(0)]);
            case 26:
                // session, number of attributes, CKA_CLASS, valid, length, class
                found = BinaryPrimitives.ReadUInt64BigEndian(arguments[21..]);
                return Ok("");
            case 27:
                var handles = Handles(found);
                found = ulong.MaxValue;
                return Ok("au", [[1], FakeServer.U32((uint)handles.Length), .. handles.Select(FakeServer.U64)]);
            case 42:
                return SignInit(arguments);
            case 43:
                // session, valid, length, data
                var signature = Sign(arguments.Slice(13, (int)BinaryPrimitives.ReadUInt32BigEndian(arguments[9..])).ToArray());
                return Ok("ay", [1], FakeServer.U32((uint)signature.Length), signature);
            default:
                return server.Reply(request);
        }

        byte[] Ok(string signature, params byte[][] results) => FakeServer.Frame(code, FakeServer.Body(call, signature, results));

        byte[] Error(ulong value) => FakeServer.Frame(code, FakeServer.Body(0, "u", FakeServer.U64(value)));

        byte[] SignInit(ReadOnlySpan<byte> from)
        {
            var key = BinaryPrimitives.ReadUInt64BigEndian(from[(IsNew ? 12 : 16)..]);
            const ulong KeyHandleInvalid = 0x60;
            return key != 1 ? Error(KeyHandleInvalid) : SignInitResult == 0 ? Ok("") : Error(SignInitResult);
        }
    }

    ulong[] Handles(ulong objectClass) => objectClass switch
    {
        3 => [.. Enumerable.Range(1, Keys).Select(i => (ulong)i)],
        2 when HasPublicKey => [PublicKey],
        1 when HasCertificate => [Certificate],
        _ => [],
    };

    byte[] Attributes(ReadOnlySpan<byte> arguments)
    {
        var handle = BinaryPrimitives.ReadUInt64BigEndian(arguments[8..]);
        var count = (int)BinaryPrimitives.ReadUInt32BigEndian(arguments[16..]);
        List<byte> reply = [.. FakeServer.U32((uint)count)];
        for (var i = 0; i < count; i++)
        {
            var type = BinaryPrimitives.ReadUInt32BigEndian(arguments[(20 + (i * 8))..]);
            reply.AddRange(FakeServer.U32(type));
            if (type == 0x100)
                reply.AddRange([1, .. FakeServer.U32(8), .. FakeServer.U64(KeyType ?? (IsRsa ? 0u : 3u))]);
            else if (Value(type, handle) is { } value)
                reply.AddRange([1, .. FakeServer.U32((uint)value.Length), .. FakeServer.U32((uint)value.Length), .. value]);
            else
                reply.Add(0);
        }

        return [.. reply];
    }

    byte[]? Value(uint type, ulong handle)
    {
        var point = ec.ExportParameters(includePrivateParameters: false).Q;
        return type switch
        {
            0x3 => "key"u8.ToArray(),
            0x11 => SelfSigned(),
            0x102 => [(byte)(handle < PublicKey ? handle : 1)],
            0x120 when IsRsa => rsa.ExportParameters(includePrivateParameters: false).Modulus,
            0x122 when IsRsa => rsa.ExportParameters(includePrivateParameters: false).Exponent,
            0x180 when !IsRsa => Oid("1.2.840.10045.3.1.7"),
            0x181 when !IsRsa => [4, 65, 4, .. point.X!, .. point.Y!],
            _ => null,
        };
    }

    byte[] Sign(byte[] input)
    {
        if (SignsWrongly)
            input = [.. input[..^1], (byte)~input[^1]];
        // The fake token has no CKM_SHA256_RSA_PKCS, so what comes for RSA is a DigestInfo, which ends with the hash.
        return IsRsa ? rsa.SignHash(input[^32..], HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1) : ec.SignHash(input);
    }

    byte[] SelfSigned()
    {
        var request = IsRsa ? new CertificateRequest("CN=fake", rsa, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1) : new CertificateRequest("CN=fake", ec, HashAlgorithmName.SHA256);
        using var certificate = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
        return certificate.RawData;
    }

    static byte[] Oid(string value)
    {
        var writer = new AsnWriter(AsnEncodingRules.DER);
        writer.WriteObjectIdentifier(value);
        return writer.Encode();
    }
}
