using HsmRemote.Services.P11KitRpc;
using HsmRemote.Services.Pkcs11;

namespace HsmRemote.Tests.Pkcs11;

/// <summary>What is made of an object's attributes, where no software token has such an object.</summary>
public sealed class ObjectDescriptionTests
{
    static readonly ObjectUri Uris = new(Pkcs11Uri.Parse("pkcs11:token=T"));

    [Fact]
    public void What_is_blank_too_long_or_has_no_name_is_left_out_of_the_URI()
    {
        Assert.Equal("pkcs11:token=T;id=%41%00;object=nul%00in;type=secret-key", Uri(Pkcs11ObjectClass.SecretKey, "A\0"u8, "nul\0in"u8));
        Assert.Equal("pkcs11:token=T", Uri(Pkcs11ObjectClass.DomainParameters, [], []));
        Assert.Equal("pkcs11:token=T", Uri((Pkcs11ObjectClass)0xCE534353, [], []));
        Assert.Equal("pkcs11:token=T;type=data", Uri(Pkcs11ObjectClass.Data, new byte[129], new byte[129]));
        Assert.Equal(128 * 3, Uri(Pkcs11ObjectClass.Data, new byte[128], []).Length - "pkcs11:token=T;id=;type=data".Length);
        Assert.Equal("pkcs11:type=cert", new ObjectUri(Pkcs11Uri.Parse("pkcs11:")).For(Pkcs11ObjectClass.Certificate, [], []).ToString());

        static string Uri(Pkcs11ObjectClass objectClass, ReadOnlySpan<byte> id, ReadOnlySpan<byte> label) => Uris.For(objectClass, id, label).ToString();
    }

    [Theory]
    [InlineData("06052B81040022", "secp384r1", 384)]
    [InlineData("06032B6570", "Ed25519", 255)]
    [InlineData("130C656477617264733235353139", "Ed25519", 255)]
    [InlineData("06032A0304", "1.2.3.4", null)]
    [InlineData("3003020101", null, null)]
    [InlineData("0500", null, null)]
    [InlineData("06", null, null)]
    [InlineData("", null, null)]
    public void A_curve_is_named(string parameters, string? name, int? keySize)
    {
        var curve = EcCurve.Read(Convert.FromHexString(parameters));
        Assert.Equal((name, keySize), (curve?.Name, curve?.KeySize));
    }

    [Fact]
    public void A_keys_size_is_that_of_its_modulus_its_prime_or_its_value()
    {
        Assert.Equal(2047, Describe(new RpcAttribute(0x120, [0x00, 0x7F, .. new byte[255]])).KeySize);
        Assert.Equal(3072, Describe(RpcAttribute.FromUlong(0x121, 3072)).KeySize);
        Assert.Equal(1024, Describe(new RpcAttribute(0x130, [0x80, .. new byte[127]])).KeySize);
        Assert.Equal(128, Describe(RpcAttribute.FromUlong(0x161, 16)).KeySize);
        Assert.Null(Describe(RpcAttribute.FromUlong(0x121, 0)).KeySize);
        Assert.Null(Describe(RpcAttribute.FromUlong(0x121, ulong.MaxValue)).KeySize);
        Assert.Null(Describe(new RpcAttribute(0x120, [])).KeySize);
    }

    [Fact]
    public void What_a_token_does_not_say_is_null_and_what_has_no_name_is_a_number()
    {
        var bare = Describe();
        Assert.Equal(("", "", (string?)null, (bool?)null, Pkcs11KeyUsage.None), (bare.Label, bare.Id, bare.Type, bare.IsPrivate, bare.Usage));
        Assert.Equal("0x80000001", Describe(RpcAttribute.FromUlong(0x100, 0x80000001)).Type);
        Assert.Equal("ML_DSA", Describe(RpcAttribute.FromUlong(0x100, 0x4A)).Type);
        Assert.Equal("X_509", Describe(RpcAttribute.FromUlong(0x0, 1), RpcAttribute.FromUlong(0x80, 0)).Type);
        var usage = Describe(RpcAttribute.FromBool(0x108, true), RpcAttribute.FromBool(0x10C, true), RpcAttribute.FromBool(0x10A, false)).Usage;
        Assert.Equal(Pkcs11KeyUsage.Sign | Pkcs11KeyUsage.Derive, usage);
        Assert.Null(Describe(RpcAttribute.FromUlong(0x0, 1)).Certificate);
        Assert.Null(DescribeCertificate("junk"u8.ToArray(), RpcAttribute.FromUlong(0x0, 1)).Certificate);
    }

    static Pkcs11Object Describe(params RpcAttribute[] given) => DescribeCertificate(null, given);

    static Pkcs11Object DescribeCertificate(byte[]? certificate, params RpcAttribute[] given) =>
        new ObjectAttributes([.. ObjectAttributes.Types.Select(type => Array.Find(given, a => a.Type == type) ?? new(type, null))]).ToObject(Token, Uris, certificate);

    static Pkcs11Token Token { get; } = new()
    {
        Uri = Pkcs11Uri.Parse("pkcs11:token=T"), Label = "T", Manufacturer = "", Model = "", SerialNumber = "", SlotId = 0, SlotDescription = "",
        SlotManufacturer = "", SlotFlags = Pkcs11SlotFlags.None, Flags = Pkcs11TokenFlags.None, HardwareVersion = new(1, 0), FirmwareVersion = new(1, 0),
    };
}
