using System.Text;

namespace HsmRemote.Services.Systemd;

/// <summary>
/// A file for EnvironmentFile= (systemd.exec(5)): read by systemd's rules, and changed so that all else stays as it was
/// written, comments and order included.
/// </summary>
sealed class EnvironmentFile
{
    /// <summary>A stretch of the file: an assignment, or (with no name) comments, blank lines and what systemd ignores.</summary>
    readonly record struct Piece(string Text, string? Name, string Value);

    readonly List<Piece> pieces;

    EnvironmentFile(List<Piece> pieces) => this.pieces = pieces;

    /// <summary>The value of a variable, or null when the file does not set it. The last assignment wins.</summary>
    internal string? this[string name] =>
        pieces.FindLastIndex(p => string.Equals(p.Name, name, StringComparison.Ordinal)) is var i and >= 0 ? pieces[i].Value : null;

    /// <summary>The assignments, in their order.</summary>
    internal IEnumerable<(string Name, string Value)> Assignments => pieces.Where(p => p.Name is not null).Select(p => (p.Name!, p.Value));

    /// <summary>
    /// Whether a comment ends in a backslash. Up to systemd 253 the comment then goes on in the next line, from 254 on it does
    /// not, so that what the file says depends on who reads it.
    /// </summary>
    internal bool IsAmbiguous => pieces.Exists(p => p.Name is null && p.Text.AsSpan().TrimEnd("\r\n") is ['#' or ';', .., '\\']);

    internal static EnvironmentFile Parse(string text)
    {
        List<Piece> read = [];
        for (var at = 0; at < text.Length;)
        {
            var start = at;
            while (at < text.Length && text[at] is ' ' or '\t')
                at++;
            string? name = null;
            var value = "";
            var end = text.AsSpan(at).IndexOfAny('\n', '\r') is var length and >= 0 ? at + length : text.Length;
            var equals = text.IndexOf('=', at, end - at);
            if (equals >= 0 && text[at] is not ('#' or ';'))
            {
                // What is no valid name is ignored, but its value is read: it may go on in the next line.
                if (IsName(text.AsSpan(at, equals - at).TrimEnd()))
                    name = text[at..equals].TrimEnd();
                at = equals + 1;
                value = ReadValue(text, ref at);
            }
            else
                at = end;

            if (at < text.Length)
                at++;
            read.Add(new Piece(text[start..at], name, value));
        }

        return new EnvironmentFile(read);
    }

    /// <summary>The same file with a variable set: in its place where it stands, else at the end.</summary>
    /// <param name="name">The variable.</param>
    /// <param name="value">Its value: one line.</param>
    /// <exception cref="HsmRemoteException">systemd would drop the value.</exception>
    internal EnvironmentFile With(string name, string value)
    {
        var line = new Piece($"{name}={Quote(SystemdText.Require(value, name))}\n", name, value);
        List<Piece> changed = [.. pieces];
        var last = changed.FindLastIndex(p => string.Equals(p.Name, name, StringComparison.Ordinal));
        if (last >= 0)
        {
            changed[last] = line;
            // Earlier assignments have no effect; left in, they would only mislead.
            for (var i = last - 1; i >= 0; i--)
            {
                if (string.Equals(changed[i].Name, name, StringComparison.Ordinal))
                    changed.RemoveAt(i);
            }
        }
        else
        {
            if (changed is [.., { } end] && !end.Text.EndsWith('\n'))
                changed[^1] = end with { Text = end.Text + "\n" };
            changed.Add(line);
        }

        return new EnvironmentFile(changed);
    }

    public override string ToString() => string.Concat(pieces.Select(p => p.Text));

    // Quoted always, so that a shell that sources the file reads the same: a URI has semicolons.
    internal static string Quote(string value)
    {
        var quoted = new StringBuilder("\"");
        foreach (var c in value)
        {
            if (c is '"' or '\\' or '$' or '`')
                quoted.Append('\\');
            quoted.Append(c);
        }

        return quoted.Append('"').ToString();
    }

    static bool IsName(ReadOnlySpan<char> name)
    {
        foreach (var c in name)
        {
            if (!char.IsAsciiLetterOrDigit(c) && c != '_')
                return false;
        }

        return !name.IsEmpty && !char.IsAsciiDigit(name[0]);
    }

    /// <summary>Reads a value, up to the line's end that ends it.</summary>
    static string ReadValue(string text, ref int at)
    {
        var value = new StringBuilder();
        // Quotes are quotes at the value's start and right behind a quoted part, and letters elsewhere.
        var quotesCount = true;
        // Unquoted white space at the end does not count; this is the length that does.
        var kept = 0;
        for (; at < text.Length && text[at] is not ('\n' or '\r'); at++)
        {
            var c = text[at];
            if (quotesCount && c is (' ' or '\t'))
                continue;
            if (quotesCount && c is ('"' or '\''))
            {
                ReadQuoted(text, ref at, value);
                kept = value.Length;
                continue;
            }

            quotesCount = false;
            var escaped = c == '\\' && at + 1 < text.Length;
            if (escaped)
                c = text[++at];
            if (!escaped || c is not ('\n' or '\r'))
                value.Append(c);
            if (escaped || c is not (' ' or '\t'))
                kept = value.Length;
        }

        value.Length = kept;
        return value.ToString();
    }

    /// <summary>Reads a quoted part, which may span lines, and stops at its closing quote.</summary>
    static void ReadQuoted(string text, ref int at, StringBuilder value)
    {
        var quote = text[at];
        for (at++; at < text.Length && text[at] != quote; at++)
        {
            var c = text[at];
            if (quote == '"' && c == '\\' && at + 1 < text.Length)
            {
                c = text[++at];
                if (c == '\n')
                    continue;
                if (c is not ('"' or '\\' or '$' or '`'))
                    value.Append('\\');
            }

            value.Append(c);
        }
    }
}
