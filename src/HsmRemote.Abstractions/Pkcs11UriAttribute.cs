namespace HsmRemote;

/// <summary>The attributes of RFC 7512, in the order in which p11-kit writes them, and so p11tool. Those of the query come last.</summary>
enum Pkcs11UriAttribute
{
    LibraryDescription,
    LibraryManufacturer,
    LibraryVersion,
    SlotDescription,
    SlotManufacturer,
    SlotId,
    Model,
    Manufacturer,
    Serial,
    Token,
    Id,
    Object,
    Type,
    ModuleName,
    ModulePath,
}

/// <summary>What is known of each attribute.</summary>
static class Pkcs11UriAttributes
{
    internal const int Count = (int)Pkcs11UriAttribute.ModulePath + 1;
    internal const int PathCount = (int)Pkcs11UriAttribute.Type + 1;

    static readonly string[] Names =
    [
        "library-description", "library-manufacturer", "library-version", "slot-description", "slot-manufacturer", "slot-id",
        "model", "manufacturer", "serial", "token", "id", "object", "type", "module-name", "module-path",
    ];

    internal static string Name(this Pkcs11UriAttribute attribute) => Names[(int)attribute];

    internal static Pkcs11UriAttribute? OfPath(ReadOnlySpan<char> name) => name switch
    {
        "token" => Pkcs11UriAttribute.Token,
        "serial" => Pkcs11UriAttribute.Serial,
        "model" => Pkcs11UriAttribute.Model,
        "manufacturer" => Pkcs11UriAttribute.Manufacturer,
        "id" => Pkcs11UriAttribute.Id,
        "object" => Pkcs11UriAttribute.Object,
        "type" => Pkcs11UriAttribute.Type,
        "library-description" => Pkcs11UriAttribute.LibraryDescription,
        "library-manufacturer" => Pkcs11UriAttribute.LibraryManufacturer,
        "library-version" => Pkcs11UriAttribute.LibraryVersion,
        "slot-description" => Pkcs11UriAttribute.SlotDescription,
        "slot-manufacturer" => Pkcs11UriAttribute.SlotManufacturer,
        "slot-id" => Pkcs11UriAttribute.SlotId,
        _ => null,
    };

    internal static Pkcs11UriAttribute? OfQuery(ReadOnlySpan<char> name) => name switch
    {
        "module-name" => Pkcs11UriAttribute.ModuleName,
        "module-path" => Pkcs11UriAttribute.ModulePath,
        _ => null,
    };

    /// <summary>The size in bytes of the blank-padded field that an attribute is compared with, PKCS #11 v2.40 section 3; 0 when there is none.</summary>
    internal static int FieldSize(this Pkcs11UriAttribute attribute) => attribute switch
    {
        Pkcs11UriAttribute.LibraryDescription or Pkcs11UriAttribute.LibraryManufacturer
            or Pkcs11UriAttribute.SlotManufacturer or Pkcs11UriAttribute.Token or Pkcs11UriAttribute.Manufacturer => 32,
        Pkcs11UriAttribute.SlotDescription => 64,
        Pkcs11UriAttribute.Model or Pkcs11UriAttribute.Serial => 16,
        _ => 0,
    };

    internal static bool IsOfToken(this Pkcs11UriAttribute attribute) =>
        attribute is Pkcs11UriAttribute.Token or Pkcs11UriAttribute.Serial or Pkcs11UriAttribute.Model or Pkcs11UriAttribute.Manufacturer;

    /// <summary>What carries a PIN, in the query or, as some write it, in the path. The last is p11-kit's old name of pin-source.</summary>
    internal static bool IsPin(ReadOnlySpan<char> name) => name is "pin-value" or "pin-source" or "pinfile";
}
