using System.Numerics;
using System.Text;
using HsmRemote.Services.P11KitRpc;

namespace HsmRemote.Services.Pkcs11;

/// <summary>What is asked of every object in one call, PKCS #11 v3.1 section 4. No value is among it: that may be a key.</summary>
readonly struct ObjectAttributes(IReadOnlyList<RpcAttribute> values)
{
    internal const uint ClassType = 0x0;
    internal const uint LabelType = 0x3;
    internal const uint IdType = 0x102;
    internal const uint Value = 0x11;

    const uint Private = 0x2;
    const uint CertificateType = 0x80;
    const uint KeyType = 0x100;
    const uint Sensitive = 0x103;
    const uint Modulus = 0x120;
    const uint ModulusBits = 0x121;
    const uint Prime = 0x130;
    const uint PrimeBits = 0x133;
    const uint ValueLength = 0x161;
    const uint Extractable = 0x162;
    const uint Local = 0x163;
    const uint NeverExtractable = 0x164;
    const uint AlwaysSensitive = 0x165;
    const uint Modifiable = 0x170;
    const uint EcParameters = 0x180;
    const uint AlwaysAuthenticate = 0x202;

    static readonly (uint Type, Pkcs11KeyUsage Usage)[] Usages =
    [
        (0x104, Pkcs11KeyUsage.Encrypt), (0x105, Pkcs11KeyUsage.Decrypt), (0x106, Pkcs11KeyUsage.Wrap), (0x107, Pkcs11KeyUsage.Unwrap),
        (0x108, Pkcs11KeyUsage.Sign), (0x109, Pkcs11KeyUsage.SignRecover), (0x10A, Pkcs11KeyUsage.Verify), (0x10B, Pkcs11KeyUsage.VerifyRecover),
        (0x10C, Pkcs11KeyUsage.Derive),
    ];

    /// <summary>The attributes, in the order in which the values are expected.</summary>
    internal static readonly uint[] Types =
    [
        ClassType, Private, LabelType, CertificateType, KeyType, IdType, Sensitive, .. Usages.Select(usage => usage.Type), Modulus, ModulusBits, Prime, PrimeBits,
        ValueLength, Extractable, Local, NeverExtractable, AlwaysSensitive, Modifiable, EcParameters, AlwaysAuthenticate,
    ];

    static readonly Dictionary<uint, int> Indices = Types.Select((type, index) => (type, index)).ToDictionary(pair => pair.type, pair => pair.index);

    internal Pkcs11ObjectClass? Class => Number(ClassType) is { } number ? (Pkcs11ObjectClass)number : null;

    /// <summary>The object that they describe.</summary>
    /// <param name="token">Its token.</param>
    /// <param name="uris">Makes the URIs of that token's objects.</param>
    /// <param name="certificate">CKA_VALUE, of a certificate.</param>
    internal Pkcs11Object ToObject(Pkcs11Token token, ObjectUri uris, byte[]? certificate)
    {
        var (id, label) = (Bytes(IdType) ?? [], Bytes(LabelType) ?? []);
        var isCertificate = Class == Pkcs11ObjectClass.Certificate;
        var curve = Bytes(EcParameters) is { } parameters ? EcCurve.Read(parameters) : null;
        return new(certificate)
        {
            Uri = uris.For(Class, id, label),
            // Every object has a class; what a module gives without one can only be data.
            Class = Class ?? Pkcs11ObjectClass.Data,
            Label = Encoding.UTF8.GetString(label),
            Id = Convert.ToHexStringLower(id),
            Type = isCertificate ? ObjectTypeNames.Certificate(Number(CertificateType)) : ObjectTypeNames.Key(Number(KeyType)),
            KeySize = isCertificate ? null : KeySize() ?? curve?.KeySize,
            Curve = curve?.Name,
            Usage = Usage(),
            IsPrivate = Flag(Private),
            IsModifiable = Flag(Modifiable),
            IsSensitive = Flag(Sensitive),
            IsExtractable = Flag(Extractable),
            IsAlwaysSensitive = Flag(AlwaysSensitive),
            IsNeverExtractable = Flag(NeverExtractable),
            IsLocal = Flag(Local),
            IsAlwaysAuthenticated = Flag(AlwaysAuthenticate),
            Token = token,
        };
    }

    /// <summary>In bits: an RSA key's is its modulus's, a DSA or DH key's its prime's, a secret key's its own.</summary>
    int? KeySize() =>
        Length(Modulus) ?? Size(ModulusBits) ?? Length(Prime) ?? Size(PrimeBits) ?? (Size(ValueLength) is { } bytes and > 0 ? bytes * 8 : null);

    int? Length(uint type) => Bytes(type) is { Length: > 0 } value ? (int)new BigInteger(value, isUnsigned: true, isBigEndian: true).GetBitLength() : null;

    // Some modules give 0, or anything, where they do not know.
    int? Size(uint type) => Number(type) is > 0 and <= ushort.MaxValue and var size ? (int)size : null;

    Pkcs11KeyUsage Usage()
    {
        var usage = Pkcs11KeyUsage.None;
        foreach (var (type, flag) in Usages)
        {
            if (Flag(type) is true)
                usage |= flag;
        }

        return usage;
    }

    byte[]? Bytes(uint type) => values[Indices[type]].Value;

    ulong? Number(uint type) => values[Indices[type]].ToUlong();

    bool? Flag(uint type) => values[Indices[type]].ToBool();
}
