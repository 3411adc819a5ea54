using System.Text;

namespace HsmRemote.Services.Server;

/// <summary>
/// A URI as p11-kit's server reads it, leniency and all: p11_kit_uri_parse for P11_KIT_URI_FOR_TOKEN, up to 0.26.4. The tests compare
/// it with libp11-kit.
/// </summary>
sealed class ServerReading
{
    // p11-kit deletes them wherever they are; a tab stays.
    const string WhiteSpace = " \n\r\v";

    static readonly string[] TokenAttributes = ["token", "manufacturer", "model", "serial"];

    readonly Dictionary<string, byte[]> token = new(StringComparer.Ordinal);

    ServerReading(string text)
    {
        // A C string ends at its first NUL.
        var end = text.IndexOf('\0', StringComparison.Ordinal);
        var bytes = Encoding.UTF8.GetBytes(end < 0 ? text : text[..end]);
        IsAccepted = Read(Array.FindAll(bytes, b => !WhiteSpace.Contains((char)b, StringComparison.Ordinal)));
    }

    /// <summary>Whether the server takes it. If not, it ends every connection.</summary>
    internal bool IsAccepted { get; }

    /// <summary>Whether the server recognises all of the path. If not, it exposes nothing for it.</summary>
    internal bool IsRecognized => Unrecognized.Count == 0;

    /// <summary>The attributes of the path for which it exposes nothing.</summary>
    internal List<string> Unrecognized { get; } = [];

    /// <summary>The attributes that make no difference: those of the query, or of what it takes to be one.</summary>
    internal List<string> Ignored { get; } = [];

    /// <summary>The attributes that it has taken the last value of.</summary>
    internal HashSet<string> Overwritten { get; } = new(StringComparer.Ordinal);

    /// <summary>The attributes that it reads as any value, since theirs begins with NUL.</summary>
    internal List<string> Any => [.. token.Where(t => t.Value is [0, ..]).Select(t => t.Key)];

    /// <summary>The URI that it selects tokens by, or null when it selects none.</summary>
    internal Pkcs11Uri? Selection => IsAccepted && IsRecognized
        ? Pkcs11Uri.Parse(Pkcs11Uri.Scheme + string.Join(';', token
            .Where(t => t.Value is not [0, ..])
            .Select(t => $"{t.Key}={string.Concat(t.Value.Select(b => $"%{b:X2}"))}")))
        : null;

    internal static ServerReading Of(string text) => new(text);

    bool Read(ReadOnlySpan<byte> text)
    {
        var colon = text.IndexOf((byte)':');
        if (colon < 0 || !Ascii.EqualsIgnoreCase(text[..colon], "pkcs11"u8))
            return false;
        var rest = text[(colon + 1)..];

        // An attribute that is empty ends the path, and what is behind it is read as the query.
        for (var length = PathAttribute(rest); length > 0; length = PathAttribute(rest))
        {
            if (!Split(rest[..length], out var name, out var value) || !ReadPath(name, value))
                return false;
            rest = rest[length..];
            if (rest.IsEmpty || rest[0] == '?')
                break;
            rest = rest[1..];
        }

        return ReadQuery(rest);
    }

    static int PathAttribute(ReadOnlySpan<byte> rest) => rest.IndexOfAny(";?"u8) is var end and >= 0 ? end : rest.Length;

    bool ReadPath(string name, ReadOnlySpan<byte> value)
    {
        if (IsPin(name))
        {
            Ignored.Add(name);
            return Decode(value) is not null;
        }

        if (!TokenAttributes.Contains(name, StringComparer.Ordinal))
        {
            Unrecognized.Add(name);
            return true;
        }

        if (Decode(value) is not { } bytes)
            return false;
        if (bytes.Length > TargetUriPolicy.FieldSize(name))
        {
            Unrecognized.Add(name);
            return true;
        }

        if (!token.TryAdd(name, bytes))
        {
            token[name] = bytes;
            Overwritten.Add(name);
        }

        return true;
    }

    bool ReadQuery(ReadOnlySpan<byte> rest)
    {
        while (!rest.IsEmpty)
        {
            // Whatever character it was that ended the path.
            rest = rest[1..];
            var end = rest.IndexOf((byte)'&');
            if (end < 0 && rest.IsEmpty)
                break;
            var attribute = end < 0 ? rest : rest[..end];
            if (!Split(attribute, out var name, out var value) || Decode(value) is null || !(IsPin(name) || name.All(IsInQueryName)))
                return false;
            Ignored.Add(name);
            rest = rest[attribute.Length..];
        }

        return true;

        static bool IsInQueryName(char c) => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c is '-' or '_';
    }

    static bool Split(ReadOnlySpan<byte> attribute, out string name, out ReadOnlySpan<byte> value)
    {
        var equals = attribute.IndexOf((byte)'=');
        name = equals > 0 ? Encoding.UTF8.GetString(attribute[..equals]) : "";
        value = equals > 0 ? attribute[(equals + 1)..] : default;
        return equals > 0;
    }

    static byte[]? Decode(ReadOnlySpan<byte> value)
    {
        List<byte> bytes = new(value.Length);
        for (var i = 0; i < value.Length; i++)
        {
            if (value[i] != '%')
            {
                bytes.Add(value[i]);
            }
            else if (i + 2 < value.Length && char.IsAsciiHexDigit((char)value[i + 1]) && char.IsAsciiHexDigit((char)value[i + 2]))
            {
                bytes.Add(Convert.FromHexString(Encoding.ASCII.GetString(value.Slice(i + 1, 2)))[0]);
                i += 2;
            }
            else
            {
                return null;
            }
        }

        return [.. bytes];
    }

    internal static bool IsPin(string name) => name is "pin-value" or "pin-source" or "pinfile";
}
