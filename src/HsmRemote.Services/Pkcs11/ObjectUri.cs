using System.Globalization;
using System.Text;

namespace HsmRemote.Services.Pkcs11;

/// <summary>Makes the URIs of a token's objects, byte for byte as p11tool prints them.</summary>
sealed class ObjectUri(Pkcs11Uri token)
{
    // p11tool reads ids and labels into so many bytes, and leaves out of the URI what is longer.
    const int MaxLength = 128;

    readonly string prefix = token.ToString() is var text && text.EndsWith(':') ? text : $"{text};";

    /// <summary>The URI of an object: what is blank or has no name in the RFC is left out.</summary>
    /// <param name="objectClass">CKA_CLASS, or null.</param>
    /// <param name="id">CKA_ID; empty when it has none.</param>
    /// <param name="label">CKA_LABEL; empty when it has none.</param>
    internal Pkcs11Uri For(Pkcs11ObjectClass? objectClass, ReadOnlySpan<byte> id, ReadOnlySpan<byte> label)
    {
        var uri = new StringBuilder(prefix);
        Append("id", id);
        Append("object", label);
        if (objectClass is { } known && TypeName(known) is { } type)
            uri.Append("type=").Append(type);
        return Pkcs11Uri.Parse(uri.ToString().TrimEnd(';'));

        void Append(string name, ReadOnlySpan<byte> value)
        {
            if (value.IsEmpty || value.Length > MaxLength)
                return;
            uri.Append(name).Append('=');
            foreach (var b in value)
                uri.Append(CultureInfo.InvariantCulture, $"%{b:X2}");
            uri.Append(';');
        }
    }

    /// <summary>The class's name in a URI, RFC 7512 section 2.3; null where it has none.</summary>
    static string? TypeName(Pkcs11ObjectClass objectClass) => objectClass switch
    {
        Pkcs11ObjectClass.Data => "data",
        Pkcs11ObjectClass.Certificate => "cert",
        Pkcs11ObjectClass.PublicKey => "public",
        Pkcs11ObjectClass.PrivateKey => "private",
        Pkcs11ObjectClass.SecretKey => "secret-key",
        _ => null,
    };
}
