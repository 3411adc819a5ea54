using System.Text.RegularExpressions;

namespace HsmRemote.SystemTests.Examples;

/// <summary>Whether two texts show the same thing on two machines, word by word.</summary>
static partial class ExampleText
{
    /// <summary>Where they differ, as a sentence, or null.</summary>
    /// <param name="shown">What a page shows. … or ... at the end of a word stands for the rest of it, and alone for any words.</param>
    /// <param name="written">What a run wrote.</param>
    internal static string? Difference(string shown, string written)
    {
        var expected = Words(shown);
        var actual = Words(written);
        var position = 0;
        for (var i = 0; i < expected.Count; i++)
        {
            if (IsEllipsis(expected[i]))
            {
                // Any words, up to the next that is shown.
                if (i + 1 == expected.Count)
                    return null;
                while (position < actual.Count && !IsSame(expected[i + 1], actual[position]))
                    position++;
                continue;
            }

            if (position == actual.Count)
                return $"ends where the page goes on with '{expected[i]}'";
            if (!IsSame(expected[i], actual[position]))
                return $"has '{actual[position]}' where the page has '{expected[i]}'";
            position++;
        }

        return position == actual.Count ? null : $"goes on with '{actual[position]}' where the page ends";
    }

    static bool IsSame(string shown, string written)
    {
        var end = shown.EndsWith('…') ? 1 : shown.EndsWith("...", StringComparison.Ordinal) ? 3 : 0;
        if (end > 0)
            return written.StartsWith(shown[..^end], StringComparison.Ordinal);
        return string.Equals(Varying().Replace(shown, "#"), Varying().Replace(written, "#"), StringComparison.Ordinal);
    }

    static bool IsEllipsis(string word) => word is "…" or "...";

    static List<string> Words(string text) => [.. text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)];

    // A serial number of SoftHSM's, a time of day, the number and process of a connection's unit; and a number that stands alone
    // (a process, an inode, a count), but no mode, which begins with 0.
    [GeneratedRegex(@"\b[0-9a-f]{16}\b|\b\d\d:\d\d:\d\d\b|(?<=@)\d+-\d+(?=-\d+\.service)|^[1-9]\d*(?=,?$)", RegexOptions.CultureInvariant, 1000)]
    private static partial Regex Varying();
}
