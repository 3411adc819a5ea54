using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text;

namespace HsmRemote;

/// <content>Reading: one pass over the text, all values decoded into one buffer.</content>
public sealed partial class Pkcs11Uri
{
    /// <summary>Reads a URI.</summary>
    /// <param name="text">The URI, beginning with <c>pkcs11:</c>.</param>
    /// <returns>The URI.</returns>
    /// <exception cref="FormatException">
    /// It is not of the form of RFC 7512 section 2.3, or p11-kit would not read it as it is meant. The message names the offset,
    /// counted in characters from 0, and never repeats the URI, which may hold a PIN.
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
    public static bool TryParse(string? text, [NotNullWhen(true)] out Pkcs11Uri? uri, [NotNullWhen(false)] out string? error) =>
        TryParse(text, out uri, out error, out _);

    /// <summary>Reads a URI, or says why it is none, and where.</summary>
    /// <param name="text">The text to read.</param>
    /// <param name="uri">The URI, when the result is true.</param>
    /// <param name="error">A sentence with the offset and the reason, when the result is false. It never repeats the text.</param>
    /// <param name="offset">The offset, counted in characters from 0, when the result is false.</param>
    /// <returns>Whether the text is a URI.</returns>
    public static bool TryParse(string? text, [NotNullWhen(true)] out Pkcs11Uri? uri, [NotNullWhen(false)] out string? error, out int offset)
    {
        var reader = new Reader(text ?? "");
        uri = reader.Read();
        offset = reader.ErrorOffset;
        error = uri is null ? $"Offset {offset.ToString(CultureInfo.InvariantCulture)}: {reader.Error}" : null;
        return uri is not null;
    }

    /// <summary>A URI that is being read. What is wrong with it ends the reading, and is kept.</summary>
    ref struct Reader(string text)
    {
        const int MaxVersionPart = 254;

        static readonly bool[] InName = Table("-_");

        // RFC 7512 section 2.3: pk11-pchar and pk11-qchar, but for '%'.
        static readonly bool[] InPath = Table("-._~:[]@!$'()*+,=&");
        static readonly bool[] InQuery = Table("-._~:[]@!$'()*+,=/?|");

        byte[] buffer = [];
        int used;
        Pkcs11UriParts parts;
        List<Pkcs11UriVendorAttribute>? pathVendor;
        List<Pkcs11UriVendorAttribute>? queryVendor;
        bool hasPin;

        internal string? Error { get; private set; }

        internal int ErrorOffset { get; private set; }

        internal Pkcs11Uri? Read()
        {
            if (!text.StartsWith(Scheme, StringComparison.OrdinalIgnoreCase))
            {
                Fail(0, "a PKCS #11 URI begins with 'pkcs11:'.");
                return null;
            }

            // A value is never longer than it was written.
            buffer = new byte[text.Length - Scheme.Length];
            var query = text.AsSpan(Scheme.Length).IndexOf('?');
            var pathEnd = query < 0 ? text.Length : Scheme.Length + query;
            if (!ReadAttributes(Scheme.Length, pathEnd, inQuery: false) || (query >= 0 && !ReadAttributes(pathEnd + 1, text.Length, inQuery: true)))
            {
                // What was read may be a PIN.
                buffer.AsSpan().Clear();
                return null;
            }

            return new Pkcs11Uri(buffer, parts, Sorted(pathVendor), Sorted(queryVendor), hasPin);
        }

        static Pkcs11UriVendorAttribute[] Sorted(List<Pkcs11UriVendorAttribute>? attributes) =>
            // A stable sort: what is there twice keeps its order.
            attributes is null ? [] : [.. attributes.OrderBy(a => a.Name, StringComparer.Ordinal)];

        bool ReadAttributes(int start, int end, bool inQuery)
        {
            if (start == end)
                return true;

            for (var at = start; at <= end;)
            {
                var stop = text.AsSpan(at, end - at).IndexOf(inQuery ? '&' : ';');
                stop = stop < 0 ? end : at + stop;
                if (stop == at)
                    return Fail(at, $"an attribute is missing here (a '{(inQuery ? '&' : ';')}' too many).");
                var equals = text.AsSpan(at, stop - at).IndexOf('=');
                if (equals <= 0)
                    return Fail(at, equals < 0 ? "this attribute has no '='." : "this attribute has no name.");
                if (!ReadAttribute(at, at + equals, stop, inQuery))
                    return false;
                at = stop + 1;
            }

            return true;
        }

        bool ReadAttribute(int start, int equals, int end, bool inQuery)
        {
            var name = text.AsSpan(start, equals - start);
            var known = inQuery ? Pkcs11UriAttributes.OfQuery(name) : Pkcs11UriAttributes.OfPath(name);
            if (known is null && !CheckName(start, equals, inQuery))
                return false;
            var from = used;
            if (!ReadValue(equals + 1, end, inQuery ? InQuery : InPath))
                return false;

            if (known is { } attribute)
            {
                ref var part = ref parts[(int)attribute];
                if (part.IsPresent)
                    return Fail(start, $"'{attribute.Name()}' is given twice.");
                if (!Check(attribute, equals + 1, from))
                    return false;
                part = new(from, used - from);
                return true;
            }

            if (Pkcs11UriAttributes.IsPin(name))
            {
                buffer.AsSpan(from, used - from).Clear();
                used = from;
                hasPin = true;
                return true;
            }

            return inQuery ? AddToQuery(name.ToString(), equals + 1, from) : AddToPath(name.ToString(), start, from);
        }

        bool CheckName(int start, int end, bool inQuery)
        {
            for (var i = start; i < end; i++)
            {
                if (text[i] >= InName.Length || !InName[text[i]])
                    return Fail(i, "this character cannot be in an attribute's name.");
                if (inQuery && char.IsAsciiLetterUpper(text[i]))
                    return Fail(i, "p11-kit takes no capital letter in the name of an attribute of the query.");
            }

            return true;
        }

        bool AddToPath(string name, int at, int from)
        {
            if (name is "objecttype" or "object-type")
                return Fail(at, $"p11-kit reads '{name}' as 'type', and others as unknown: write 'type'.");
            if (pathVendor?.Exists(a => string.Equals(a.Name, name, StringComparison.Ordinal)) == true)
                return Fail(at, $"'{name}' is given twice.");
            (pathVendor ??= []).Add(new(name, new(from, used - from)));
            return true;
        }

        // Here the RFC allows a vendor's attribute more than once.
        bool AddToQuery(string name, int valueAt, int from)
        {
            if (!CheckQueryValue(valueAt, from))
                return false;
            (queryVendor ??= []).Add(new(name, new(from, used - from)));
            return true;
        }

        bool CheckQueryValue(int at, int from) =>
            !buffer.AsSpan(from, used - from).Contains((byte)0) || Fail(at, "p11-kit ends a value of the query at a NUL (%00).");

        /// <summary>Checks a value, and brings it to the one form that it is compared in.</summary>
        bool Check(Pkcs11UriAttribute attribute, int at, int from)
        {
            var value = buffer.AsSpan(from, used - from);
            switch (attribute)
            {
                case Pkcs11UriAttribute.Type:
                    return value.SequenceEqual("private"u8) || value.SequenceEqual("public"u8) || value.SequenceEqual("cert"u8)
                        || value.SequenceEqual("secret-key"u8) || value.SequenceEqual("data"u8)
                        ? CheckPlain(at, "the type of an object")
                        : Fail(at, "'type' is public, private, cert, secret-key or data.");
                case Pkcs11UriAttribute.SlotId:
                    return CheckPlain(at, "a slot's number") && CheckSlotId(value, at, from);
                case Pkcs11UriAttribute.LibraryVersion:
                    return CheckPlain(at, "a version") && CheckVersion(value, at, from);
                case Pkcs11UriAttribute.ModuleName or Pkcs11UriAttribute.ModulePath:
                    return CheckQueryValue(at, from);
                case Pkcs11UriAttribute.Id or Pkcs11UriAttribute.Object:
                    return true;
                default:
                    if (value.StartsWith((byte)0))
                        return Fail(at, "p11-kit reads a value that begins with NUL (%00) as any value.");
                    // What fits is padded with spaces, so that those at its end make no difference.
                    if (value.Length <= attribute.FieldSize())
                        used = from + value.TrimEnd((byte)' ').Length;
                    return true;
            }
        }

        readonly bool IsPlain(int at)
        {
            var end = text.AsSpan(at).IndexOfAny(';', '?');
            return !text.AsSpan(at, end < 0 ? text.Length - at : end).Contains('%');
        }

        bool CheckPlain(int at, string what) => IsPlain(at) || Fail(at, $"p11-kit does not read escapes (%XX) in {what}.");

        bool CheckSlotId(ReadOnlySpan<byte> value, int at, int from)
        {
            if (!long.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out var id))
                return Fail(at, "a slot's number is decimal, and at most 9223372036854775807.");
            // Without leading zeros, and so never longer than what was read.
            id.TryFormat(buffer.AsSpan(from), out var written, default, CultureInfo.InvariantCulture);
            used = from + written;
            return true;
        }

        bool CheckVersion(ReadOnlySpan<byte> value, int at, int from)
        {
            var dot = value.IndexOf((byte)'.');
            if (!TryPart(dot < 0 ? value : value[..dot], out var major) || !TryPart(dot < 0 ? "0"u8 : value[(dot + 1)..], out var minor))
                return Fail(at, "a version is one or two numbers from 0 to 254, with a '.' between.");
            // The name that is not kept has left more room than a '.0' needs.
            used = from + Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{major}.{minor}"), buffer.AsSpan(from));
            return true;

            static bool TryPart(ReadOnlySpan<byte> digits, out int number) =>
                int.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out number) && number <= MaxVersionPart;
        }

        bool ReadValue(int start, int end, bool[] allowed)
        {
            var target = buffer;
            var to = used;
            for (var i = start; i < end; i++)
            {
                var c = text[i];
                if (c < allowed.Length && allowed[c])
                {
                    target[to++] = (byte)c;
                }
                else if (c == '%')
                {
                    if (i + 2 >= end || !char.IsAsciiHexDigit(text[i + 1]) || !char.IsAsciiHexDigit(text[i + 2]))
                        return Fail(i, "'%' needs two hexadecimal digits behind it.");
                    target[to++] = (byte)((HexValue(text[i + 1]) << 4) | HexValue(text[i + 2]));
                    i += 2;
                }
                else
                {
                    return Fail(i, "this character must be written as %XX (a space is %20).");
                }
            }

            used = to;
            return true;
        }

        // '0' to '9' are 0x30 to 0x39, letters 0x41 or 0x61 and on.
        static int HexValue(char digit) => (digit & 0xF) + ((digit >> 6) * 9);

        static bool[] Table(string punctuation)
        {
            var table = new bool[128];
            for (var c = '\0'; c < table.Length; c++)
                table[c] = char.IsAsciiLetterOrDigit(c) || punctuation.Contains(c, StringComparison.Ordinal);
            return table;
        }

        bool Fail(int offset, string error)
        {
            ErrorOffset = offset;
            Error = error;
            return false;
        }
    }
}
