using System.Formats.Asn1;

namespace HsmRemote.Services.Pkcs11;

/// <summary>A curve: CKA_EC_PARAMS, PKCS #11 v3.1 section 6.3.3.</summary>
/// <param name="Name">Its usual name, or its number where none is known.</param>
/// <param name="KeySize">The length of its keys in bits, where it is known.</param>
sealed record EcCurve(string Name, int? KeySize)
{
    // SEC 2, RFC 5639 and RFC 8410.
    static readonly Dictionary<string, EcCurve> Known = new(StringComparer.Ordinal)
    {
        ["1.2.840.10045.3.1.1"] = new("secp192r1", 192),
        ["1.3.132.0.33"] = new("secp224r1", 224),
        ["1.2.840.10045.3.1.7"] = new("secp256r1", 256),
        ["1.3.132.0.34"] = new("secp384r1", 384),
        ["1.3.132.0.35"] = new("secp521r1", 521),
        ["1.3.132.0.10"] = new("secp256k1", 256),
        ["1.3.36.3.3.2.8.1.1.3"] = new("brainpoolP192r1", 192),
        ["1.3.36.3.3.2.8.1.1.5"] = new("brainpoolP224r1", 224),
        ["1.3.36.3.3.2.8.1.1.7"] = new("brainpoolP256r1", 256),
        ["1.3.36.3.3.2.8.1.1.9"] = new("brainpoolP320r1", 320),
        ["1.3.36.3.3.2.8.1.1.11"] = new("brainpoolP384r1", 384),
        ["1.3.36.3.3.2.8.1.1.13"] = new("brainpoolP512r1", 512),
        ["1.3.101.110"] = new("X25519", 255),
        ["1.3.101.111"] = new("X448", 448),
        ["1.3.101.112"] = new("Ed25519", 255),
        ["1.3.101.113"] = new("Ed448", 448),
        // The standard lets these be given by name.
        ["curve25519"] = new("X25519", 255),
        ["curve448"] = new("X448", 448),
        ["edwards25519"] = new("Ed25519", 255),
        ["edwards448"] = new("Ed448", 448),
    };

    /// <summary>The curve of parameters in DER; null when they are none, or are explicit, so that the curve has no name.</summary>
    internal static EcCurve? Read(byte[] parameters)
    {
        try
        {
            var reader = new AsnReader(parameters, AsnEncodingRules.DER);
            var tag = reader.PeekTag();
            var name = tag == Asn1Tag.ObjectIdentifier ? reader.ReadObjectIdentifier()
                : tag == new Asn1Tag(UniversalTagNumber.PrintableString) ? reader.ReadCharacterString(UniversalTagNumber.PrintableString)
                : null;
            return name is null ? null : Known.GetValueOrDefault(name) ?? new(name, null);
        }
        catch (AsnContentException)
        {
            return null;
        }
    }
}
