using System.Text;

namespace HsmRemote.Fuzz.Uris;

/// <summary>A text that is a URI, or nearly one. The same number of the same seed is always the same text.</summary>
static class UriCase
{
    static readonly string[] PathNames =
    [
        "token", "manufacturer", "model", "serial", "object", "type", "id", "library-description", "library-manufacturer", "library-version",
        "slot-description", "slot-manufacturer", "slot-id",
    ];

    static readonly string[] OtherPathNames =
        ["pin-value", "pin-source", "pinfile", "objecttype", "object-type", "x-vendor", "Token", "serial_", "toke", "a.b", "colour", "9"];

    static readonly string[] QueryNames =
        ["module-name", "module-path", "pin-value", "pin-source", "pinfile", "x-vendor", "vendor_1", "aaa", "X-Vendor", "module.name", "token"];

    // The first ones of each are good.
    const int GoodValues = 18;
    const int GoodTypes = 5;
    const int GoodNumbers = 6;
    const int GoodVersions = 5;

    static readonly string[] Values =
    [
        "", "A", "a%20b", "PIV_II%20%28PIV%20Card%20Holder%20pin%29", "SoftHSM%20v2", "abc%00%00", "abc%20%20", "%20", "%c3%a9", "%ff%fe",
        "00000000", "0123456789abcdef", "01234567890123456789012345678901", "012345678901234%20", "%41%4a%4A", "a:b[c]@!$'()*+,=", "x=y", "private",
        "0123456789abcdefg", "012345678901234567890123456789012", "0123456789abcdef%20", "0123456789abcdef%00",
        "%00", "%00%00abc", "a&b", "file:/etc/pin", "/usr/lib/x.so", "|command", "a/b", "a|b?c",
    ];

    static readonly string[] Types = ["private", "public", "cert", "secret-key", "data", "secretkey", "Private", "%70rivate", "", "all"];

    static readonly string[] Numbers =
    [
        "0", "1", "17", "007", "00", "9223372036854775807",
        "", "-1", "+1", "1e3", "%31", "9223372036854775808", "18446744073709551616", "4294967297", "0x10", "1.5",
    ];

    static readonly string[] Versions =
        ["3", "3.0", "2.40", "03.01", "254.254", "255.0", "0.255", "256.1", "3.", ".3", ".", "", "1.2.3", "a.b", "%33", "4294967296.1", "-1.0"];

    const string Spice = ";;;=&??%%%%: \t\r\n\v\0#/|\\\"<>^`{}~é\u20ac\U0001F511AaFfGg0159._-+";

    internal static string Generate(ulong seed, long number)
    {
        var random = new Random(unchecked((int)(seed * 0x9E3779B97F4A7C15 >> 32) ^ (int)number ^ (int)(number >> 31)));
        var text = new StringBuilder(random.Next(20) == 0 ? Pick("PKCS11:", "Pkcs11:", "pkcs11", "pkcs12:", "pkcs11::", "") : "pkcs11:");
        Append(text, random, random.Next(6), ';', PathNames, OtherPathNames);
        if (random.Next(3) == 0)
        {
            text.Append('?');
            Append(text, random, random.Next(4), '&', QueryNames, QueryNames);
        }

        // Half of them are URIs, or would be but for what their values are.
        for (var mutations = random.Next(2) == 0 ? 0 : 1 + random.Next(3); mutations > 0; mutations--)
            Mutate(text, random);
        return text.ToString();

        string Pick(params string[] choices) => choices[random.Next(choices.Length)];
    }

    static void Append(StringBuilder text, Random random, int count, char separator, string[] names, string[] others)
    {
        HashSet<string> taken = new(StringComparer.Ordinal);
        for (var i = 0; i < count; i++)
        {
            var pool = random.Next(12) == 0 ? others : names;
            var name = pool[random.Next(pool.Length)];
            // A name is seldom given twice.
            if (!taken.Add(name) && random.Next(8) != 0)
                continue;
            if (taken.Count > 1)
                text.Append(separator);
            text.Append(name).Append('=').Append(Value(random, name));
        }
    }

    static string Value(Random random, string name)
    {
        var (pool, good) = name switch
        {
            "type" or "object-type" or "objecttype" => (Types, GoodTypes),
            "slot-id" => (Numbers, GoodNumbers),
            "library-version" => (Versions, GoodVersions),
            _ => (Values, GoodValues),
        };
        return random.Next(16) == 0 ? Random(random) : pool[random.Next(random.Next(12) == 0 ? pool.Length : good)];
    }

    static string Random(Random random)
    {
        var bytes = new byte[random.Next(70)];
        random.NextBytes(bytes);
        return string.Concat(bytes.Select(b => random.Next(2) == 0 && char.IsAsciiLetterOrDigit((char)b) ? $"{(char)b}" : random.Next(2) == 0 ? $"%{b:x2}" : $"%{b:X2}"));
    }

    static void Mutate(StringBuilder text, Random random)
    {
        var at = random.Next(text.Length + 1);
        var length = Math.Min(random.Next(12), text.Length - at);
        switch (random.Next(6))
        {
            case 0:
                text.Insert(at, Spice[random.Next(Spice.Length)]);
                break;
            case 1 when at < text.Length:
                text[at] = Spice[random.Next(Spice.Length)];
                break;
            case 2 when at < text.Length:
                text.Remove(at, 1);
                break;
            case 3:
                text.Remove(at, length);
                break;
            case 4:
                text.Insert(at, text.ToString(at, length));
                break;
            default:
                text.Insert(at, $"{";&?"[random.Next(3)]}{Values[random.Next(Values.Length)]}");
                break;
        }
    }
}
