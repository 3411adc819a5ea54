using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text;

namespace HsmRemote;

/// <summary>
/// A PKCS #11 URI (RFC 7512), parsed strictly and shown in the form and order of p11tool.
/// </summary>
/// <remarks>
/// Values are bytes: a URI can name a token whose label is no valid UTF-8, or is padded with NUL. Two URIs are equal when
/// they have the same attributes with the same bytes. A PIN in a URI is noticed (<see cref="HasPin"/>) and forgotten at
/// once: it is neither stored nor shown.
/// </remarks>
public sealed class Pkcs11Uri : IEquatable<Pkcs11Uri>
{
    /// <summary>The scheme with its colon, RFC 7512 section 2.3.</summary>
    public const string Scheme = "pkcs11:";

    // The order in which p11-kit writes them, and so p11tool.
    static readonly string[] PathOrder =
    [
        "library-description", "library-manufacturer", "library-version", "model", "manufacturer", "serial", "token",
        "slot-description", "slot-id", "slot-manufacturer", "id", "object", "type",
    ];

    static readonly string[] PinAttributes = ["pin-value", "pin-source"];

    readonly List<KeyValuePair<string, byte[]>> path;
    readonly List<KeyValuePair<string, byte[]>> query;

    Pkcs11Uri(List<KeyValuePair<string, byte[]>> path, List<KeyValuePair<string, byte[]>> query, bool hasPin)
    {
        this.path = path;
        this.query = query;
        HasPin = hasPin;
        // A stable sort: names that the RFC does not know stay behind, in the order given.
        this.path = [.. path.OrderBy(a => PathOrder.IndexOf(a.Key) is var i and >= 0 ? i : PathOrder.Length)];
    }

    /// <summary>The token's label (<c>token</c>), or null when the URI does not say.</summary>
    public string? Token => Text("token");

    /// <summary>The token's manufacturer (<c>manufacturer</c>), or null when the URI does not say.</summary>
    public string? Manufacturer => Text("manufacturer");

    /// <summary>The token's model (<c>model</c>), or null when the URI does not say.</summary>
    public string? Model => Text("model");

    /// <summary>The token's serial number (<c>serial</c>), or null when the URI does not say.</summary>
    public string? Serial => Text("serial");

    /// <summary>The label of an object in the token (<c>object</c>), or null when the URI does not say.</summary>
    public string? Object => Text("object");

    /// <summary>The class of an object in the token (<c>type</c>: public, private, cert, secret-key or data), or null.</summary>
    public string? Type => Text("type");

    /// <summary>Whether the URI had a <c>pin-value</c> or <c>pin-source</c>. What it was is not kept.</summary>
    public bool HasPin { get; }

    /// <summary>The names of the attributes in the path, in canonical order.</summary>
    public IReadOnlyList<string> PathAttributes => [.. path.Select(a => a.Key)];

    /// <summary>The names of the attributes in the query, in the order given, without those that carry a PIN.</summary>
    public IReadOnlyList<string> QueryAttributes => [.. query.Select(a => a.Key)];

    /// <summary>Reads a URI.</summary>
    /// <param name="text">The URI, beginning with <c>pkcs11:</c>.</param>
    /// <returns>The URI.</returns>
    /// <exception cref="FormatException">
    /// It is not of the form of RFC 7512 section 2.3. The message names the offset, counted in characters from 0, and
    /// never repeats the URI, which may hold a PIN.
    /// </exception>
    public static Pkcs11Uri Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        return TryParse(text, out var uri, out var error) ? uri : throw new FormatException(error);
    }

    /// <summary>Reads a URI, or says why it is none.</summary>
    /// <param name="text">The text to read.</param>
    /// <param name="uri">The URI, when the result is true.</param>
    /// <param name="error">A sentence with the offset and the reason, when the result is false. It never repeats the text.</param>
    /// <returns>Whether the text is a URI.</returns>
    public static bool TryParse(string? text, [NotNullWhen(true)] out Pkcs11Uri? uri, [NotNullWhen(false)] out string? error)
    {
        uri = null;
        if (text is null || !text.StartsWith(Scheme, StringComparison.OrdinalIgnoreCase))
        {
            error = "Offset 0: a PKCS #11 URI begins with 'pkcs11:'.";
            return false;
        }

        var queryStart = text.IndexOf('?', StringComparison.Ordinal);
        var pathEnd = queryStart < 0 ? text.Length : queryStart;
        List<KeyValuePair<string, byte[]>> inPath = [];
        List<KeyValuePair<string, byte[]>> inQuery = [];
        if (!ReadAttributes(text, Scheme.Length, pathEnd, ';', "&", inPath, out error)
            || (queryStart >= 0 && !ReadAttributes(text, queryStart + 1, text.Length, '&', "/?|", inQuery, out error)))
            return false;

        // Some write the PIN into the path; it is as little wanted there.
        var pins = inQuery.RemoveAll(IsPin) + inPath.RemoveAll(IsPin);
        uri = new Pkcs11Uri(inPath, inQuery, pins > 0);
        error = null;
        return true;
    }

    /// <summary>Makes the URI that identifies a token: model, manufacturer, serial number and label, blank fields left out.</summary>
    /// <param name="label">CK_TOKEN_INFO.label, as the module gave it; trailing spaces do not count, NULs do.</param>
    /// <param name="manufacturer">CK_TOKEN_INFO.manufacturerID, likewise.</param>
    /// <param name="model">CK_TOKEN_INFO.model, likewise.</param>
    /// <param name="serial">CK_TOKEN_INFO.serialNumber, likewise.</param>
    /// <returns>The URI, byte for byte as p11tool prints it.</returns>
    public static Pkcs11Uri ForToken(ReadOnlySpan<byte> label, ReadOnlySpan<byte> manufacturer, ReadOnlySpan<byte> model, ReadOnlySpan<byte> serial)
    {
        List<KeyValuePair<string, byte[]>> fields = [];
        Add("model", model);
        Add("manufacturer", manufacturer);
        Add("serial", serial);
        Add("token", label);
        return new Pkcs11Uri(fields, [], hasPin: false);

        void Add(string name, ReadOnlySpan<byte> field)
        {
            var value = field.TrimEnd((byte)' ');
            if (!value.IsEmpty)
                fields.Add(new(name, value.ToArray()));
        }
    }

    /// <summary>The same URI with only what identifies a token: token, manufacturer, model and serial.</summary>
    /// <returns>A URI that selects the token that this URI's object is in.</returns>
    public Pkcs11Uri ToTokenUri() =>
        new([.. path.Where(a => a.Key is "token" or "manufacturer" or "model" or "serial")], [], hasPin: false);

    /// <summary>Whether this URI selects a token, by the rules of p11-kit: what it does not say matches anything.</summary>
    /// <param name="token">The token's own URI, as <see cref="ForToken"/> makes it.</param>
    /// <returns>
    /// True when every token attribute of this URI has the very bytes of the token's; false also when this URI has an
    /// attribute that no token has (an object's, a slot's, an unknown one).
    /// </returns>
    public bool Matches(Pkcs11Uri token)
    {
        ArgumentNullException.ThrowIfNull(token);
        return path.TrueForAll(a =>
            a.Key is "token" or "manufacturer" or "model" or "serial"
            // A blank field is left out of the token's URI; an empty value asks for just that.
            && a.Value.AsSpan().TrimEnd((byte)' ').SequenceEqual(token.Bytes(a.Key)));
    }

    /// <summary>The length in bytes of an attribute's value, or null when the URI does not have it.</summary>
    /// <param name="name">The attribute's name, of the path.</param>
    /// <returns>The length after percent-decoding, in bytes.</returns>
    public int? ByteCount(string name)
    {
        var index = path.FindIndex(a => string.Equals(a.Key, name, StringComparison.Ordinal));
        return index < 0 ? null : path[index].Value.Length;
    }

    /// <summary>The bytes of an attribute's value, or null when the URI does not have it.</summary>
    /// <param name="name">The attribute's name, of the path.</param>
    /// <returns>A copy of the bytes after percent-decoding.</returns>
    public byte[]? Value(string name) => ByteCount(name) is null ? null : Bytes(name).ToArray();

    /// <summary>The URI in p11tool's form: its order, everything but <c>A-Za-z0-9_-.</c> escaped, in upper-case hex. No PIN.</summary>
    /// <returns>The URI.</returns>
    public override string ToString()
    {
        var text = new StringBuilder(Scheme);
        Append(path, ';');
        if (query.Count > 0)
        {
            text.Append('?');
            Append(query, '&');
        }

        return text.ToString();

        void Append(List<KeyValuePair<string, byte[]>> attributes, char separator)
        {
            for (var i = 0; i < attributes.Count; i++)
            {
                if (i > 0)
                    text.Append(separator);
                text.Append(attributes[i].Key).Append('=');
                foreach (var b in attributes[i].Value)
                {
                    // p11-kit escapes every byte of an id.
                    if (attributes[i].Key is not "id" && (char.IsAsciiLetterOrDigit((char)b) || b is (byte)'_' or (byte)'-' or (byte)'.'))
                        text.Append((char)b);
                    else
                        text.Append(CultureInfo.InvariantCulture, $"%{b:X2}");
                }
            }
        }
    }

    /// <inheritdoc/>
    public bool Equals(Pkcs11Uri? other) => other is not null && string.Equals(ToString(), other.ToString(), StringComparison.Ordinal);

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as Pkcs11Uri);

    /// <inheritdoc/>
    public override int GetHashCode() => ToString().GetHashCode(StringComparison.Ordinal);

    /// <summary>Whether two URIs have the same attributes with the same bytes.</summary>
    public static bool operator ==(Pkcs11Uri? left, Pkcs11Uri? right) => Equals(left, right);

    /// <summary>Whether two URIs differ in an attribute.</summary>
    public static bool operator !=(Pkcs11Uri? left, Pkcs11Uri? right) => !Equals(left, right);

    static bool IsPin(KeyValuePair<string, byte[]> attribute) => PinAttributes.Contains(attribute.Key, StringComparer.Ordinal);

    static bool ReadAttributes(
        string text, int start, int end, char separator, string alsoAllowed, List<KeyValuePair<string, byte[]>> attributes, [NotNullWhen(false)] out string? error)
    {
        error = null;
        if (start == end)
            return true;

        for (var at = start; at <= end;)
        {
            var stop = text.IndexOf(separator, at, end - at);
            if (stop < 0)
                stop = end;
            var equals = text.IndexOf('=', at, stop - at);
            if (stop == at)
                error = $"Offset {at}: an attribute is missing here (a '{separator}' too many).";
            else if (equals < 0)
                error = $"Offset {at}: this attribute has no '='.";
            else if (equals == at)
                error = $"Offset {at}: this attribute has no name.";
            if (error is not null)
                return false;

            for (var i = at; i < equals; i++)
            {
                if (!char.IsAsciiLetterOrDigit(text[i]) && text[i] is not ('-' or '_'))
                {
                    error = $"Offset {i}: this character cannot be in an attribute's name.";
                    return false;
                }
            }

            var name = text[at..equals];
            if (attributes.Exists(a => string.Equals(a.Key, name, StringComparison.Ordinal)))
            {
                error = $"Offset {at}: '{name}' is given twice.";
                return false;
            }

            if (!ReadValue(text, equals + 1, stop, alsoAllowed, out var value, out error))
                return false;
            attributes.Add(new(name, value));
            at = stop + 1;
        }

        return true;
    }

    static bool ReadValue(string text, int start, int end, string alsoAllowed, [NotNullWhen(true)] out byte[]? value, [NotNullWhen(false)] out string? error)
    {
        value = null;
        error = null;
        var bytes = new List<byte>(end - start);
        for (var i = start; i < end; i++)
        {
            var c = text[i];
            if (c == '%')
            {
                if (i + 2 >= end || !byte.TryParse(text.AsSpan(i + 1, 2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var b))
                {
                    error = $"Offset {i}: '%' needs two hexadecimal digits behind it.";
                    return false;
                }

                bytes.Add(b);
                i += 2;
            }
            else if (char.IsAsciiLetterOrDigit(c) || "-._~:[]@!$'()*+,=".Contains(c, StringComparison.Ordinal) || alsoAllowed.Contains(c, StringComparison.Ordinal))
            {
                bytes.Add((byte)c);
            }
            else
            {
                error = $"Offset {i}: this character must be written as %XX (a space is %20).";
                return false;
            }
        }

        value = [.. bytes];
        return true;
    }

    string? Text(string name) => path.Exists(a => string.Equals(a.Key, name, StringComparison.Ordinal)) ? Encoding.UTF8.GetString(Bytes(name)) : null;

    ReadOnlySpan<byte> Bytes(string name) => path.Find(a => string.Equals(a.Key, name, StringComparison.Ordinal)).Value;
}
