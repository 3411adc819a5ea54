using System.Globalization;
using System.Text;

namespace HsmRemote.Services.Systemd;

/// <summary>What text systemd carries to a process as it is, in unit files and in environment files.</summary>
static class SystemdText
{
    /// <summary>Refuses what systemd would drop or change.</summary>
    /// <param name="text">The text.</param>
    /// <param name="where">What it is for: a directive or a variable.</param>
    /// <returns>The text.</returns>
    /// <exception cref="HsmRemoteException">It cannot be carried.</exception>
    internal static string Require(string text, string where)
    {
        for (var at = 0; at < text.Length; at++)
        {
            if (!Rune.TryGetRuneAt(text, at, out var rune))
                throw Refuse(text, where, $"it has half a character (U+{(int)text[at]:X4})");
            // In UTF-8 it may be; systemd's own check of it, as of GLib's, says no.
            if (rune.Value is >= 0xFDD0 and <= 0xFDEF || (rune.Value & 0xFFFE) == 0xFFFE)
                throw Refuse(text, where, $"it has U+{rune.Value:X4}, which is no character");
            // A line would end there, and a variable with any other of them is dropped.
            if (rune.Value < ' ' && rune.Value != '\t' || rune.Value == 0x7F)
                throw Refuse(text, where, $"it has the control character U+{rune.Value:X4}");
            at += rune.Utf16SequenceLength - 1;
        }

        return text;
    }

    /// <summary>The same for text that makes up the rest of a line: what systemd strips there has to be absent too.</summary>
    internal static string RequireLine(string text, string where)
    {
        Require(text, where);
        if (text.EndsWith('\\'))
            throw Refuse(text, where, "it ends in a backslash, after which a line goes on");
        if (text.AsSpan().Trim(" \t").Length != text.Length)
            throw Refuse(text, where, "it begins or ends with a space");
        return text;
    }

    /// <summary>A socket's path as systemd shows it, C-escaped byte by byte, as it is.</summary>
    internal static string Unescape(string shown)
    {
        const string Letters = "abfnrtv";
        const string Meanings = "\a\b\f\n\r\t\v";
        if (!shown.Contains('\\', StringComparison.Ordinal))
            return shown;
        List<byte> bytes = [];
        for (var at = 0; at < shown.Length; at++)
        {
            if (shown[at] != '\\' || at + 1 == shown.Length)
            {
                bytes.AddRange(Encoding.UTF8.GetBytes(shown, at, 1));
                continue;
            }

            var next = shown[++at];
            if (next is >= '0' and <= '3' && at + 2 < shown.Length)
            {
                bytes.Add(Convert.ToByte(shown.Substring(at, 3), 8));
                at += 2;
            }
            else
                bytes.Add((byte)(Letters.IndexOf(next, StringComparison.Ordinal) is var i and >= 0 ? Meanings[i] : next));
        }

        return Encoding.UTF8.GetString([.. bytes]);
    }

    static HsmRemoteException Refuse(string text, string where, string why)
    {
        const int Shown = 60;
        // Not as it is: what is refused may well upset a terminal.
        var shown = string.Concat(text.Take(Shown).Select(c => char.IsControl(c) || char.IsSurrogate(c) ? $"\\u{((int)c).ToString("x4", CultureInfo.InvariantCulture)}" : $"{c}"));
        return new HsmRemoteException(
            "ValueNotCarried", FailureKind.InvalidArgument, $"systemd cannot carry '{shown}{(text.Length > Shown ? "…" : "")}' for {where}: {why}.",
            "Use another value.", where);
    }
}
