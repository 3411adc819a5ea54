using System.Formats.Asn1;
using System.Security.Cryptography;
using HsmRemote.Services.Pkcs11;

namespace HsmRemote.Services.Sockets;

/// <summary>How a challenge is signed: SHA-256 of it, with the mechanism that every application would use first.</summary>
/// <param name="Type">CKM_…</param>
/// <param name="Input">What the token is given to sign.</param>
sealed record SignatureMechanism(uint Type, Func<byte[], byte[]> Input)
{
    const string Sha256 = "2.16.840.1.101.3.4.2.1";

    internal string Name => Mechanism.Of(Type).Name;

    /// <summary>The mechanism for a type of key; null when its signatures cannot be verified.</summary>
    internal static SignatureMechanism? Choose(ulong? keyType, IReadOnlyList<ulong> mechanisms) => keyType switch
    {
        PrivateKey.Ec => new(Mechanism.Ecdsa, SHA256.HashData),
        // What does not say that it hashes gets the hash; one that says nothing at all refuses by its name.
        PrivateKey.Rsa when mechanisms.Contains(Mechanism.Sha256RsaPkcs) => new(Mechanism.Sha256RsaPkcs, challenge => challenge),
        PrivateKey.Rsa => new(Mechanism.RsaPkcs, DigestInfo),
        _ => null,
    };

    /// <summary>RFC 8017 section 9.2: the name of the hash, and the hash.</summary>
    static byte[] DigestInfo(byte[] challenge)
    {
        var writer = new AsnWriter(AsnEncodingRules.DER);
        using (writer.PushSequence())
        {
            using (writer.PushSequence())
            {
                writer.WriteObjectIdentifier(Sha256);
                writer.WriteNull();
            }

            writer.WriteOctetString(SHA256.HashData(challenge));
        }

        return writer.Encode();
    }
}
