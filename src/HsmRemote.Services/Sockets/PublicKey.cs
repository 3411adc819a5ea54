using System.Formats.Asn1;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using HsmRemote.Services.P11KitRpc;

namespace HsmRemote.Services.Sockets;

/// <summary>The public half of a key in a token: of the public key object that has its id, or else of the certificate.</summary>
sealed class PublicKey : IDisposable
{
    const uint Class = 0x0;
    const uint Value = 0x11;
    const uint Id = 0x102;
    const uint Modulus = 0x120;
    const uint PublicExponent = 0x122;
    const uint EcParameters = 0x180;
    const uint EcPoint = 0x181;
    const ulong CertificateObject = 0x1;
    const ulong PublicKeyObject = 0x2;

    const string EcPublicKey = "1.2.840.10045.2.1";
    const byte Uncompressed = 0x04;

    readonly AsymmetricAlgorithm algorithm;

    PublicKey(AsymmetricAlgorithm algorithm, string source)
    {
        this.algorithm = algorithm;
        Source = source;
    }

    /// <summary>Where it was found: <c>public key</c> or <c>certificate</c>.</summary>
    internal string Source { get; }

    /// <summary>Finds what can verify; null when there is nothing that can be read.</summary>
    internal static async Task<PublicKey?> FindAsync(P11KitRpcClient client, ulong session, PrivateKey key, CancellationToken cancellationToken)
    {
        if (key.Id.Length == 0)
            return null;
        foreach (var found in await ObjectsAsync(PublicKeyObject, Modulus, PublicExponent, EcParameters, EcPoint))
        {
            if (Read(() => key.Type == PrivateKey.Rsa ? ReadRsa(found[0].Value, found[1].Value) : ReadEc(found[2].Value, found[3].Value)) is { } algorithm)
                return new(algorithm, "public key");
        }

        foreach (var found in await ObjectsAsync(CertificateObject, Value))
        {
            if (Read(() => ReadCertificate(found[0].Value)) is { } algorithm)
                return new(algorithm, "certificate");
        }

        return null;

        async Task<IReadOnlyList<IReadOnlyList<RpcAttribute>>> ObjectsAsync(ulong objectClass, params uint[] types)
        {
            List<IReadOnlyList<RpcAttribute>> objects = [];
            foreach (var handle in await client.FindObjectsAsync(session, [RpcAttribute.FromUlong(Class, objectClass), new(Id, key.Id)], cancellationToken))
                objects.Add(await client.GetAttributeValueAsync(session, handle, types, cancellationToken));
            return objects;
        }
    }

    /// <summary>Whether a signature over SHA-256 of the challenge is this key's.</summary>
    internal bool Verifies(byte[] challenge, byte[] signature) => algorithm switch
    {
        // CKM_ECDSA gives r and s one behind the other, and so does the default format here.
        ECDsa ec => ec.VerifyData(challenge, signature, HashAlgorithmName.SHA256),
        RSA rsa => rsa.VerifyData(challenge, signature, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1),
        _ => false,
    };

    public void Dispose() => algorithm.Dispose();

    /// <summary>What comes from a token is not trusted to be well formed, or to be on a curve that OpenSSL has.</summary>
    static AsymmetricAlgorithm? Read(Func<AsymmetricAlgorithm?> read)
    {
        try
        {
            return read();
        }
        catch (Exception e) when (e is CryptographicException or AsnContentException or PlatformNotSupportedException or ArgumentException)
        {
            return null;
        }
    }

    static RSA? ReadRsa(byte[]? modulus, byte[]? exponent) =>
        modulus is null || exponent is null ? null : RSA.Create(new RSAParameters { Modulus = modulus, Exponent = exponent });

    static ECDsa? ReadEc(byte[]? parameters, byte[]? point)
    {
        if (parameters is null || point is null)
            return null;
        var writer = new AsnWriter(AsnEncodingRules.DER);
        using (writer.PushSequence())
        {
            using (writer.PushSequence())
            {
                writer.WriteObjectIdentifier(EcPublicKey);
                writer.WriteEncodedValue(parameters);
            }

            writer.WriteBitString(Unwrapped(point));
        }

        var key = ECDsa.Create();
        try
        {
            key.ImportSubjectPublicKeyInfo(writer.Encode(), out _);
            return key;
        }
        catch
        {
            key.Dispose();
            throw;
        }
    }

    /// <summary>The standard wraps the point in an OCTET STRING, and some modules do not; its tag is an uncompressed point's first byte.</summary>
    static ReadOnlySpan<byte> Unwrapped(byte[] point) =>
        AsnDecoder.TryReadEncodedValue(point, AsnEncodingRules.DER, out var tag, out var start, out var length, out var read)
        && tag == Asn1Tag.PrimitiveOctetString && read == point.Length && length > 0 && point[start] == Uncompressed
            ? point.AsSpan(start, length)
            : point;

    static AsymmetricAlgorithm? ReadCertificate(byte[]? value)
    {
        if (value is null)
            return null;
        using var certificate = X509CertificateLoader.LoadCertificate(value);
        return certificate.GetECDsaPublicKey() ?? (AsymmetricAlgorithm?)certificate.GetRSAPublicKey();
    }
}
