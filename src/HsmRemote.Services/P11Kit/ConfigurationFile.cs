using System.Text;

namespace HsmRemote.Services.P11Kit;

/// <summary>A file of p11-kit's configuration: lines of <c>key: value</c>, comments and empty lines, pkcs11.conf(5).</summary>
/// <remarks>Whatever p11-kit's own reader refuses is refused here: it then loads no module at all.</remarks>
static class ConfigurationFile
{
    // isspace(3) in the C locale, which p11-kit trims by.
    internal const string Blanks = " \t\n\v\f\r";

    // A byte order mark is part of the first key, as it is to p11-kit.
    /// <summary>The keys of a file; of a key that is there twice, the last value.</summary>
    /// <exception cref="InvalidDataException">It is not of the form; the message says in which line.</exception>
    internal static Dictionary<string, string> Read(string path) => Parse(Encoding.UTF8.GetString(File.ReadAllBytes(path)));

    /// <inheritdoc cref="Read"/>
    internal static Dictionary<string, string> Parse(string text)
    {
        Dictionary<string, string> keys = new(StringComparer.Ordinal);
        var number = 0;
        foreach (var raw in text.Split('\n'))
        {
            number++;
            if (KeyOf(raw, number) is { } key)
                keys[key] = raw[(raw.IndexOf(':', StringComparison.Ordinal) + 1)..].Trim(Blanks.ToCharArray());
        }

        return keys;
    }

    /// <summary>A file's text with keys set, or with null removed. Everything else stays: comments, order, other keys.</summary>
    internal static string With(string text, IEnumerable<KeyValuePair<string, string?>> changes)
    {
        var lines = text.TrimEnd('\n').Split('\n').ToList();
        if (lines is [""])
            lines.Clear();
        foreach (var (key, value) in changes)
        {
            // The last one is what counts, so the others go.
            var at = lines.FindLastIndex(line => IsOf(line, key));
            if (value is not null && at >= 0)
                lines[at] = Line(key, value);
            else if (value is not null)
                lines.Add(Line(key, value));
            var kept = value is null ? -1 : lines.FindLastIndex(line => IsOf(line, key));
            for (var i = lines.Count - 1; i >= 0; i--)
            {
                if (i != kept && IsOf(lines[i], key))
                    lines.RemoveAt(i);
            }
        }

        return string.Concat(lines.Select(line => line + '\n'));

        static bool IsOf(string line, string key) => string.Equals(KeyOf(line, 0), key, StringComparison.Ordinal);
        static string Line(string key, string value) => value.Length == 0 ? $"{key}:" : $"{key}: {value}";
    }

    /// <summary>The key of a line; null of a comment or an empty one.</summary>
    static string? KeyOf(string raw, int number)
    {
        var line = raw.Trim(Blanks.ToCharArray());
        if (line.Length == 0 || line[0] == '#')
            return null;
        if (line[0] == '[')
            throw new InvalidDataException($"line {number} is a section ('['), which p11-kit does not take here");
        var colon = line.IndexOf(':', StringComparison.Ordinal);
        return colon >= 0 ? line[..colon].TrimEnd(Blanks.ToCharArray()) : throw new InvalidDataException($"line {number} has no colon");
    }
}
