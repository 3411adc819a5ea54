using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text;

namespace HsmRemote;

/// <summary>
/// A PKCS #11 URI (RFC 7512), parsed strictly and shown in the form and order of p11tool.
/// </summary>
/// <remarks>
/// <para>Values are bytes: a URI can name a token whose label is no valid UTF-8, or is padded with NUL. Two URIs are equal when
/// they have the same attributes with the same bytes, in whatever order and escapes. A PIN in a URI is noticed
/// (<see cref="HasPin"/>) and forgotten at once: it is neither stored nor shown, and does not count when URIs are compared.</para>
/// <para>It is a value, and yet a class: the default of a struct would be <c>pkcs11:</c>, which selects every token there is, so
/// that what was never set would be the widest URI of all. Null is none.</para>
/// <para>PowerShell casts text to it with <see cref="Parse"/>. When that fails, the engine's error repeats the text, which nothing here
/// can prevent: what may hold a PIN is for <see cref="Parse"/> itself.</para>
/// <para>about_HsmRemote_Uris lists where this is stricter than p11-kit, and why.</para>
/// </remarks>
public sealed partial class Pkcs11Uri : IEquatable<Pkcs11Uri>
{
    /// <summary>The scheme with its colon, RFC 7512 section 2.3.</summary>
    public const string Scheme = "pkcs11:";

    readonly byte[] buffer;
    readonly Pkcs11UriParts parts;

    // By name, so that the order in which they were given makes no difference. Those of the path are all different.
    readonly Pkcs11UriVendorAttribute[] pathVendor;
    readonly Pkcs11UriVendorAttribute[] queryVendor;

    Pkcs11Uri(byte[] buffer, in Pkcs11UriParts parts, Pkcs11UriVendorAttribute[] pathVendor, Pkcs11UriVendorAttribute[] queryVendor, bool hasPin)
    {
        this.buffer = buffer;
        this.parts = parts;
        this.pathVendor = pathVendor;
        this.queryVendor = queryVendor;
        HasPin = hasPin;
    }

    /// <summary>The token's label (<c>token</c>), or null when the URI does not say.</summary>
    public string? Token => Text(Pkcs11UriAttribute.Token);

    /// <summary>The token's manufacturer (<c>manufacturer</c>), or null when the URI does not say.</summary>
    public string? Manufacturer => Text(Pkcs11UriAttribute.Manufacturer);

    /// <summary>The token's model (<c>model</c>), or null when the URI does not say.</summary>
    public string? Model => Text(Pkcs11UriAttribute.Model);

    /// <summary>The token's serial number (<c>serial</c>), or null when the URI does not say.</summary>
    public string? Serial => Text(Pkcs11UriAttribute.Serial);

    /// <summary>The label of an object in the token (<c>object</c>), or null when the URI does not say.</summary>
    public string? Object => Text(Pkcs11UriAttribute.Object);

    /// <summary>The class of an object in the token (<c>type</c>: public, private, cert, secret-key or data), or null.</summary>
    public string? Type => Text(Pkcs11UriAttribute.Type);

    /// <summary>CKA_ID of an object in the token (<c>id</c>), or null when the URI does not say. Each time a copy.</summary>
    [SuppressMessage("Performance", "CA1819:Properties should not return arrays", Justification = "A copy; PowerShell binds byte[] and no span.")]
    public byte[]? Id => Has(Pkcs11UriAttribute.Id) ? Bytes(Pkcs11UriAttribute.Id).ToArray() : null;

    /// <summary>What the module says of itself (<c>library-description</c>), or null when the URI does not say.</summary>
    public string? LibraryDescription => Text(Pkcs11UriAttribute.LibraryDescription);

    /// <summary>The module's manufacturer (<c>library-manufacturer</c>), or null when the URI does not say.</summary>
    public string? LibraryManufacturer => Text(Pkcs11UriAttribute.LibraryManufacturer);

    /// <summary>The module's version (<c>library-version</c>; each number 0 to 254), or null when the URI does not say.</summary>
    public Version? LibraryVersion => Text(Pkcs11UriAttribute.LibraryVersion) is { } version ? Version.Parse(version) : null;

    /// <summary>What the slot calls itself (<c>slot-description</c>), or null when the URI does not say.</summary>
    public string? SlotDescription => Text(Pkcs11UriAttribute.SlotDescription);

    /// <summary>The slot's manufacturer (<c>slot-manufacturer</c>), or null when the URI does not say.</summary>
    public string? SlotManufacturer => Text(Pkcs11UriAttribute.SlotManufacturer);

    /// <summary>The slot's number in its module (<c>slot-id</c>; at most 2^63-1), or null when the URI does not say.</summary>
    public ulong? SlotId => Text(Pkcs11UriAttribute.SlotId) is { } id ? ulong.Parse(id, CultureInfo.InvariantCulture) : null;

    /// <summary>The name of a module (query <c>module-name</c>), or null when the URI does not say.</summary>
    public string? ModuleName => Text(Pkcs11UriAttribute.ModuleName);

    /// <summary>The file of a module (query <c>module-path</c>), or null when the URI does not say.</summary>
    public string? ModulePath => Text(Pkcs11UriAttribute.ModulePath);

    /// <summary>The attributes of the path that the RFC does not name, by name. With one of them p11-kit matches nothing.</summary>
    public IReadOnlyDictionary<string, string> VendorAttributes => pathVendor.ToDictionary(a => a.Name, a => Text(a.Part), StringComparer.Ordinal);

    /// <summary>The attributes of the query that the RFC does not name, by name. A name may be there more than once.</summary>
    public IReadOnlyList<KeyValuePair<string, string>> VendorQueryAttributes => [.. queryVendor.Select(a => KeyValuePair.Create(a.Name, Text(a.Part)))];

    /// <summary>Whether the URI had a <c>pin-value</c> or <c>pin-source</c> (or p11-kit's old <c>pinfile</c>). What it was is not kept.</summary>
    public bool HasPin { get; }

    /// <summary>
    /// Whether p11-kit knows every attribute of the path, and none is longer than its field. If not, the URI matches nothing.
    /// </summary>
    public bool IsRecognized
    {
        get
        {
            for (var i = 0; i < Pkcs11UriAttributes.PathCount; i++)
            {
                if (((Pkcs11UriAttribute)i).FieldSize() is > 0 and var size && parts[i].IsPresent && parts[i].Length > size)
                    return false;
            }

            return pathVendor.Length == 0;
        }
    }

    /// <summary>The names of the attributes in the path, in canonical order.</summary>
    public IReadOnlyList<string> PathAttributes => Names(0, Pkcs11UriAttributes.PathCount, pathVendor);

    /// <summary>The names of the attributes in the query, in canonical order, without those that carry a PIN.</summary>
    public IReadOnlyList<string> QueryAttributes => Names(Pkcs11UriAttributes.PathCount, Pkcs11UriAttributes.Count, queryVendor);

    /// <summary>Makes the URI that identifies a token: model, manufacturer, serial number and label, blank fields left out.</summary>
    /// <param name="label">CK_TOKEN_INFO.label, as the module gave it; trailing spaces do not count, NULs do.</param>
    /// <param name="manufacturer">CK_TOKEN_INFO.manufacturerID, likewise.</param>
    /// <param name="model">CK_TOKEN_INFO.model, likewise.</param>
    /// <param name="serial">CK_TOKEN_INFO.serialNumber, likewise.</param>
    /// <returns>The URI, byte for byte as p11tool prints it: a field that begins with NUL is left out too, as p11-kit reads that as any.</returns>
    public static Pkcs11Uri ForToken(ReadOnlySpan<byte> label, ReadOnlySpan<byte> manufacturer, ReadOnlySpan<byte> model, ReadOnlySpan<byte> serial)
    {
        var values = new byte[label.Length + manufacturer.Length + model.Length + serial.Length];
        var used = 0;
        Pkcs11UriParts fields = default;
        Add(Pkcs11UriAttribute.Model, model);
        Add(Pkcs11UriAttribute.Manufacturer, manufacturer);
        Add(Pkcs11UriAttribute.Serial, serial);
        Add(Pkcs11UriAttribute.Token, label);
        return new Pkcs11Uri(values, fields, [], [], hasPin: false);

        void Add(Pkcs11UriAttribute attribute, ReadOnlySpan<byte> field)
        {
            var value = field.TrimEnd((byte)' ');
            if (value.IsEmpty || value[0] == 0)
                return;
            value.CopyTo(values.AsSpan(used));
            fields[(int)attribute] = new(used, value.Length);
            used += value.Length;
        }
    }

    /// <summary>The same URI with only what identifies a token: token, manufacturer, model and serial.</summary>
    /// <returns>A URI that selects the token that this URI's object is in.</returns>
    public Pkcs11Uri ToTokenUri()
    {
        Pkcs11UriParts ofToken = default;
        for (var i = Pkcs11UriAttribute.Model; i <= Pkcs11UriAttribute.Token; i++)
            ofToken[(int)i] = parts[(int)i];
        return new Pkcs11Uri(buffer, ofToken, [], [], hasPin: false);
    }

    /// <summary>The length in bytes of an attribute's value, or null when the URI does not have it.</summary>
    /// <param name="name">The attribute's name, of the path.</param>
    /// <returns>The length after percent-decoding, in bytes.</returns>
    public int? ByteCount(string name) => Find(name) is { } part ? part.Length : null;

    /// <summary>The bytes of an attribute's value, or null when the URI does not have it.</summary>
    /// <param name="name">The attribute's name, of the path.</param>
    /// <returns>A copy of the bytes after percent-decoding.</returns>
    public byte[]? Value(string name) => Find(name)?.Of(buffer).ToArray();

    /// <summary>The URI in p11tool's form: its order, everything but <c>A-Za-z0-9_-.</c> escaped, in upper-case hex. No PIN.</summary>
    /// <returns>The URI.</returns>
    public override string ToString()
    {
        const int Typical = 128;
        var text = new StringBuilder(Scheme, Typical);
        Append(text, 0, Pkcs11UriAttributes.PathCount, pathVendor, ';');
        var path = text.Length;
        Append(text, Pkcs11UriAttributes.PathCount, Pkcs11UriAttributes.Count, queryVendor, '&');
        if (text.Length > path)
            text.Insert(path, '?');
        return text.ToString();
    }

    /// <inheritdoc/>
    public bool Equals(Pkcs11Uri? other)
    {
        if (other is null)
            return false;
        for (var i = 0; i < Pkcs11UriAttributes.Count; i++)
        {
            if (parts[i].IsPresent != other.parts[i].IsPresent || !parts[i].Of(buffer).SequenceEqual(other.parts[i].Of(other.buffer)))
                return false;
        }

        return AreEqual(pathVendor, other.pathVendor) && AreEqual(queryVendor, other.queryVendor);

        bool AreEqual(Pkcs11UriVendorAttribute[] own, Pkcs11UriVendorAttribute[] others) =>
            own.Length == others.Length && own.Zip(others).All(pair =>
                string.Equals(pair.First.Name, pair.Second.Name, StringComparison.Ordinal)
                && pair.First.Part.Of(buffer).SequenceEqual(pair.Second.Part.Of(other.buffer)));
    }

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as Pkcs11Uri);

    /// <inheritdoc/>
    public override int GetHashCode()
    {
        HashCode hash = default;
        for (var i = 0; i < Pkcs11UriAttributes.Count; i++)
        {
            hash.Add(parts[i].IsPresent);
            hash.AddBytes(parts[i].Of(buffer));
        }

        foreach (var (name, _) in pathVendor.Concat(queryVendor))
            hash.Add(name, StringComparer.Ordinal);
        return hash.ToHashCode();
    }

    /// <summary>Whether two URIs have the same attributes with the same bytes.</summary>
    public static bool operator ==(Pkcs11Uri? left, Pkcs11Uri? right) => Equals(left, right);

    /// <summary>Whether two URIs differ in an attribute.</summary>
    public static bool operator !=(Pkcs11Uri? left, Pkcs11Uri? right) => !Equals(left, right);

    bool Has(Pkcs11UriAttribute attribute) => parts[(int)attribute].IsPresent;

    ReadOnlySpan<byte> Bytes(Pkcs11UriAttribute attribute) => parts[(int)attribute].Of(buffer);

    string? Text(Pkcs11UriAttribute attribute) => Has(attribute) ? Text(parts[(int)attribute]) : null;

    string Text(Pkcs11UriPart part) => Encoding.UTF8.GetString(part.Of(buffer));

    Pkcs11UriPart? Find(string name)
    {
        if (Pkcs11UriAttributes.OfPath(name) is { } attribute)
            return Has(attribute) ? parts[(int)attribute] : null;
        var index = Array.FindIndex(pathVendor, a => string.Equals(a.Name, name, StringComparison.Ordinal));
        return index < 0 ? null : pathVendor[index].Part;
    }

    List<string> Names(int from, int to, Pkcs11UriVendorAttribute[] vendor) =>
    [
        .. Enumerable.Range(from, to - from).Select(i => (Pkcs11UriAttribute)i).Where(Has).Select(attribute => attribute.Name()),
        .. vendor.Select(attribute => attribute.Name),
    ];

    void Append(StringBuilder text, int from, int to, Pkcs11UriVendorAttribute[] vendor, char separator)
    {
        var start = text.Length;
        for (var i = from; i < to; i++)
        {
            // p11-kit escapes every byte of an id, and nothing in what is a number or a word.
            if (parts[i].IsPresent)
                Append(((Pkcs11UriAttribute)i).Name(), parts[i].Of(buffer), escapeAll: (Pkcs11UriAttribute)i is Pkcs11UriAttribute.Id);
        }

        foreach (var (name, part) in vendor)
            Append(name, part.Of(buffer), escapeAll: false);

        void Append(string name, ReadOnlySpan<byte> value, bool escapeAll)
        {
            if (text.Length > start)
                text.Append(separator);
            text.Append(name).Append('=');
            foreach (var b in value)
            {
                if (!escapeAll && (char.IsAsciiLetterOrDigit((char)b) || b is (byte)'_' or (byte)'-' or (byte)'.'))
                    text.Append((char)b);
                else
                    text.Append('%').Append(HexDigit(b >> 4)).Append(HexDigit(b & 0xF));
            }
        }

        static char HexDigit(int value) => "0123456789ABCDEF"[value];
    }
}
