using System.Security.Cryptography;
using System.Text;
using System.Text.RegularExpressions;
using HsmRemote.Services.Sockets;

namespace HsmRemote.Services.Containers;

/// <summary>
/// The .env file of compose. Its readers differ (python-dotenv in docker-compose 1, compose-go from 2 on, docker's own --env-file), so
/// that only what all of compose's read alike is written; the rest is refused. What else is in a file stays as it was written.
/// </summary>
static partial class DotEnvFile
{
    /// <summary>The variable that thin-edge.io takes its PIN from.</summary>
    internal const string PinVariable = "TEDGE_DEVICE_CRYPTOKI_PIN";

    /// <summary>The file with variables set: each in its place where it stands, else at the end.</summary>
    /// <param name="before">The file as it is; empty when there is none.</param>
    /// <param name="variables">What to set.</param>
    /// <param name="pin">The PIN to set, or null.</param>
    /// <param name="withoutPin">Whether a PIN that is in the file goes.</param>
    internal static byte[] Write(byte[] before, IReadOnlyList<KeyValuePair<string, string>> variables, PinBytes? pin, bool withoutPin)
    {
        // As the file's own lines end.
        var newline = before.AsSpan().IndexOf("\r\n"u8) >= 0 ? "\r\n" : "\n";
        var lines = variables.ToDictionary(v => v.Key, v => Encoding.UTF8.GetBytes($"{v.Key}={Quote(v.Key, v.Value)}{newline}"), StringComparer.Ordinal);
        if (pin is not null)
            lines[PinVariable] = PinLine(pin, newline);
        try
        {
            return Merge(before, lines, newline, withoutPin);
        }
        finally
        {
            if (pin is not null)
                CryptographicOperations.ZeroMemory(lines[PinVariable]);
        }
    }

    static byte[] Merge(byte[] before, Dictionary<string, byte[]> lines, string newline, bool withoutPin)
    {
        List<ReadOnlyMemory<byte>> parts = [];
        HashSet<string> written = new(StringComparer.Ordinal);
        foreach (var (range, name) in Pieces(before))
        {
            if (name is not null && lines.TryGetValue(name, out var line))
            {
                // The last one counts for every reader; more than one would only mislead.
                if (written.Add(name))
                    parts.Add(line);
            }
            else if (!withoutPin || name is not PinVariable)
            {
                parts.Add(before.AsMemory(range));
            }
        }

        if (parts is [.., { Span: [.., not (byte)'\n'] }])
            parts.Add(Encoding.ASCII.GetBytes(newline));
        parts.AddRange(lines.Where(l => !written.Contains(l.Key)).Select(l => (ReadOnlyMemory<byte>)l.Value));

        var all = GC.AllocateUninitializedArray<byte>(parts.Sum(p => p.Length), pinned: true);
        var at = 0;
        foreach (var part in parts)
        {
            part.Span.CopyTo(all.AsSpan(at));
            at += part.Length;
        }

        return all;
    }

    internal static bool HasPin(byte[] file) => Pieces(file).Any(p => p.Name is PinVariable);

    /// <summary>The PIN that readers see in the file, or null: it has none.</summary>
    /// <exception cref="HsmRemoteException">It is written in a way that readers may take for different PINs.</exception>
    internal static PinBytes? PinOf(byte[] file)
    {
        // The last one counts.
        if (Pieces(file).LastOrDefault(p => p.Name is PinVariable) is not { Name: not null } piece)
            return null;
        var line = file.AsSpan(piece.Range);
        var value = line[(line.IndexOf((byte)'=') + 1)..].Trim(" \t\r\n"u8);
        if (value.IsEmpty)
            return null;
        var isQuoted = value.Length > 1 && value[0] is (byte)'\'' or (byte)'"' && value[0] == value[^1];
        if (isQuoted)
            value = value[1..^1];
        if (value.IndexOfAny(isQuoted ? "'\"\\$\n"u8 : "'\"\\$\n #"u8) >= 0)
        {
            throw new HsmRemoteException(
                "PinNotWritable", FailureKind.InvalidData, "The PIN in the .env file is written in a form that readers may take for different PINs, so that it is not moved.",
                "Give it with -PinPath.", PinVariable);
        }

        return new PinBytes(value);
    }

    /// <summary>The file for people to see: without its PIN.</summary>
    internal static string Mask(byte[] file, string instead)
    {
        var text = new StringBuilder();
        foreach (var (range, name) in Pieces(file))
            text.Append(name is PinVariable ? $"{PinVariable}={instead}\n" : Encoding.UTF8.GetString(file.AsSpan(range)));
        return text.ToString();
    }

    /// <summary>A value as every reader reads it back.</summary>
    internal static string Quote(string name, string value)
    {
        if (Plain().IsMatch(value))
            return value;
        var readDifferently = value.Contains("${", StringComparison.Ordinal) || value.Any(char.IsControl);
        if (!readDifferently && !value.Contains('\'', StringComparison.Ordinal) && !value.Contains(@"\\", StringComparison.Ordinal) && !value.EndsWith('\\'))
            return $"'{value}'";
        if (!readDifferently && value.IndexOfAny(['"', '\\', '$', '`']) < 0)
            return $"\"{value}\"";
        throw ContainerValues.Invalid($"variable {name}", "the readers of .env files do not agree on line ends, control characters, '${', and some mixtures of quotes and backslashes", name);
    }

    static byte[] PinLine(PinBytes pin, string newline)
    {
        foreach (var b in pin.Span)
        {
            // Quoting a PIN would be a second thing to get wrong where nobody may look.
            if (!char.IsAsciiLetterOrDigit((char)b) && !"_./:@%+,-"u8.Contains(b))
            {
                throw new HsmRemoteException(
                    "PinNotWritable", FailureKind.InvalidArgument, "The PIN has characters that the readers of .env files do not agree on.",
                    "Use -PinAsSecret, which writes it to a file of its own.", PinVariable);
            }
        }

        var head = Encoding.UTF8.GetBytes($"{PinVariable}=");
        var line = GC.AllocateUninitializedArray<byte>(head.Length + pin.Span.Length + newline.Length, pinned: true);
        head.CopyTo(line, 0);
        pin.Span.CopyTo(line.AsSpan(head.Length));
        Encoding.ASCII.GetBytes(newline, line.AsSpan(line.Length - newline.Length));
        return line;
    }

    /// <summary>A file in stretches: assignments, which may span lines when quoted, and all else line by line.</summary>
    static IEnumerable<(Range Range, string? Name)> Pieces(byte[] file)
    {
        // It is no part of the first name, which some readers see through it.
        var start = file.AsSpan().StartsWith(Encoding.UTF8.Preamble) ? Encoding.UTF8.Preamble.Length : 0;
        if (start > 0)
            yield return (..start, null);
        while (start < file.Length)
        {
            var line = LineEnd(file, start);
            // Latin 1, so that a byte is a character; names are ASCII.
            var match = Assignment().Match(Encoding.Latin1.GetString(file.AsSpan(start, Math.Min(line, start + 256) - start)));
            var end = line;
            if (match is { Success: true } && match.Groups["quote"] is { Length: 1 } quote)
                end = LineEnd(file, ClosingQuote(file, start + quote.Index + 1, (byte)quote.Value[0]) ?? start);
            yield return (start..end, match.Success ? match.Groups["name"].Value : null);
            start = end;
        }
    }

    static int? ClosingQuote(byte[] file, int at, byte quote)
    {
        for (; at < file.Length; at++)
        {
            if (file[at] == '\\')
                at++;
            else if (file[at] == quote)
                return at;
        }

        return null;
    }

    static int LineEnd(byte[] file, int at) => Array.IndexOf(file, (byte)'\n', at) is var end and >= 0 ? end + 1 : file.Length;

    [GeneratedRegex(@"\A[A-Za-z0-9_./:@%+,-][A-Za-z0-9_./:@%+,=-]*\z", RegexOptions.CultureInvariant, 1000)]
    private static partial Regex Plain();

    [GeneratedRegex(@"\A\s*(export\s+)?(?<name>[A-Za-z_][A-Za-z0-9_]*)\s*=[ \t]*(?<quote>['""])?", RegexOptions.CultureInvariant | RegexOptions.ExplicitCapture, 1000)]
    private static partial Regex Assignment();
}
