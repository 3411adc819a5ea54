using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace HsmRemote;

/// <summary>A key, a certificate or data in a token. Of a key it is what the token says about it, never the key itself.</summary>
public sealed class Pkcs11Object
{
    readonly Lazy<X509Certificate2?> certificate;

    /// <summary>Makes an object.</summary>
    /// <param name="certificate">CKA_VALUE of an X.509 certificate, in DER; null when it is none, or the token does not give it.</param>
    public Pkcs11Object(ReadOnlyMemory<byte>? certificate = null) => this.certificate = new(() => Read(certificate));

    /// <summary>The object's URI, as p11tool prints it: that of its token, with <c>id</c>, <c>object</c> and <c>type</c>. Binds to -Uri.</summary>
    public required Pkcs11Uri Uri { get; init; }

    /// <summary>What it is (CKA_CLASS).</summary>
    public required Pkcs11ObjectClass Class { get; init; }

    /// <summary>CKA_LABEL, read as UTF-8; empty when it has none.</summary>
    public required string Label { get; init; }

    /// <summary>CKA_ID, in lower-case hex; empty when it has none. A key pair and its certificate share it.</summary>
    public required string Id { get; init; }

    /// <summary>
    /// The type of the key (CKA_KEY_TYPE) or certificate (CKA_CERTIFICATE_TYPE), by its name in the standard: <c>RSA</c>, <c>EC</c>,
    /// <c>AES</c>, <c>X_509</c>; the number where none is known; null when it has none.
    /// </summary>
    public string? Type { get; init; }

    /// <summary>The key's length in bits, or null when the token does not say.</summary>
    public int? KeySize { get; init; }

    /// <summary>The key's curve, by its name (<c>secp256r1</c>, <c>Ed25519</c>), or by its number where none is known; null when it is on none.</summary>
    public string? Curve { get; init; }

    /// <summary>What the key may be used for.</summary>
    public Pkcs11KeyUsage Usage { get; init; }

    /// <summary>Whether it is seen only after a login (CKA_PRIVATE), or null when the token does not say.</summary>
    public bool? IsPrivate { get; init; }

    /// <summary>Whether it can be changed (CKA_MODIFIABLE), or null when the token does not say.</summary>
    public bool? IsModifiable { get; init; }

    /// <summary>Whether the key cannot be read in plain text (CKA_SENSITIVE), or null for what is no private or secret key.</summary>
    public bool? IsSensitive { get; init; }

    /// <summary>Whether the key can leave the token, wrapped or not (CKA_EXTRACTABLE), or null for what is no private or secret key.</summary>
    public bool? IsExtractable { get; init; }

    /// <summary>Whether the key has always been sensitive (CKA_ALWAYS_SENSITIVE), or null for what is no private or secret key.</summary>
    public bool? IsAlwaysSensitive { get; init; }

    /// <summary>Whether the key could never be extracted (CKA_NEVER_EXTRACTABLE), or null for what is no private or secret key.</summary>
    public bool? IsNeverExtractable { get; init; }

    /// <summary>Whether the key was made in the token (CKA_LOCAL), or null for what is no key.</summary>
    public bool? IsLocal { get; init; }

    /// <summary>Whether the key wants the PIN for each use (CKA_ALWAYS_AUTHENTICATE), or null for what is no private key.</summary>
    public bool? IsAlwaysAuthenticated { get; init; }

    /// <summary>The certificate. Null when it is none, is no X.509 certificate in DER, or the token does not give it.</summary>
    public X509Certificate2? Certificate => certificate.Value;

    /// <summary>The token that it is in.</summary>
    public required Pkcs11Token Token { get; init; }

    /// <inheritdoc/>
    public override string ToString() => Uri.ToString();

    // Only when it is asked for: reading ten thousand certificates takes longer than getting them.
    static X509Certificate2? Read(ReadOnlyMemory<byte>? der)
    {
        try
        {
            return der is { } bytes ? X509CertificateLoader.LoadCertificate(bytes.Span) : null;
        }
        catch (CryptographicException)
        {
            return null;
        }
    }
}

/// <summary>CKA_CLASS: what an object is (PKCS #11 v3.1 section 4). Vendors have numbers of their own from 0x80000000 on.</summary>
public enum Pkcs11ObjectClass : uint
{
    /// <summary>CKO_DATA.</summary>
    Data = 0x0,

    /// <summary>CKO_CERTIFICATE.</summary>
    Certificate = 0x1,

    /// <summary>CKO_PUBLIC_KEY.</summary>
    PublicKey = 0x2,

    /// <summary>CKO_PRIVATE_KEY.</summary>
    PrivateKey = 0x3,

    /// <summary>CKO_SECRET_KEY.</summary>
    SecretKey = 0x4,

    /// <summary>CKO_HW_FEATURE.</summary>
    HardwareFeature = 0x5,

    /// <summary>CKO_DOMAIN_PARAMETERS.</summary>
    DomainParameters = 0x6,

    /// <summary>CKO_MECHANISM.</summary>
    Mechanism = 0x7,

    /// <summary>CKO_OTP_KEY.</summary>
    OtpKey = 0x8,

    /// <summary>CKO_PROFILE.</summary>
    Profile = 0x9,
}

/// <summary>What a key may be used for, PKCS #11 v3.1 section 4.7 to 4.10.</summary>
[Flags]
public enum Pkcs11KeyUsage
{
    /// <summary>Nothing, or the token does not say.</summary>
    None = 0,

    /// <summary>CKA_ENCRYPT.</summary>
    Encrypt = 0x1,

    /// <summary>CKA_DECRYPT.</summary>
    Decrypt = 0x2,

    /// <summary>CKA_WRAP: it can encrypt other keys.</summary>
    Wrap = 0x4,

    /// <summary>CKA_UNWRAP: it can decrypt other keys.</summary>
    Unwrap = 0x8,

    /// <summary>CKA_SIGN.</summary>
    Sign = 0x10,

    /// <summary>CKA_SIGN_RECOVER: it signs so that the data can be recovered from the signature.</summary>
    SignRecover = 0x20,

    /// <summary>CKA_VERIFY.</summary>
    Verify = 0x40,

    /// <summary>CKA_VERIFY_RECOVER: it recovers the data from the signature.</summary>
    VerifyRecover = 0x80,

    /// <summary>CKA_DERIVE: other keys can be derived from it.</summary>
    Derive = 0x100,
}
