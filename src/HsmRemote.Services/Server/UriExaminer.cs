using System.Globalization;
using System.Text.RegularExpressions;

namespace HsmRemote.Services.Server;

/// <summary>What a server makes of a URI, said to a person.</summary>
static partial class UriExaminer
{
    /// <param name="text">The text; it may be no URI, and may hold a PIN.</param>
    /// <param name="live">The tokens of the host.</param>
    internal static Pkcs11UriTest Examine(string text, IReadOnlyList<Pkcs11Token> live)
    {
        var isValid = Pkcs11Uri.TryParse(text, out var uri, out var error, out var offset);
        var reading = ServerReading.Of(text);
        // p11-kit-remote compares the scheme's very characters, and takes anything else for the path of a module.
        var isUri = text.StartsWith(Pkcs11Uri.Scheme, StringComparison.Ordinal);
        var selection = isUri ? reading.Selection : null;
        List<string> misreads = [.. Misreads(text, uri, reading, isUri)];
        return new Pkcs11UriTest
        {
            Text = WithoutPin(text),
            Uri = uri,
            Error = error,
            Offset = isValid ? null : offset,
            Outcome = !isUri || !reading.IsAccepted ? Pkcs11UriOutcome.NoConnection
                : selection is null ? Pkcs11UriOutcome.Nothing
                : selection.PathAttributes.Count == 0 ? Pkcs11UriOutcome.Everything
                : uri is null || uri.QueryAttributes.Count > 0 ? Pkcs11UriOutcome.More
                : Pkcs11UriOutcome.AsMeant,
            ServerReads = selection,
            Uses = selection?.PathAttributes ?? [],
            Ignores = isUri && reading.IsAccepted ? [.. reading.Ignored.Distinct(StringComparer.Ordinal)] : [],
            Misreads = misreads,
            Exposes = selection is null ? [] : [.. live.Where(token => selection.Matches(token.Uri))],
            Refusal = uri is null ? error : TargetUriPolicy.Refusal(uri)?.Failure,
        };
    }

    static IEnumerable<string> Misreads(string text, Pkcs11Uri? uri, ServerReading reading, bool isUri)
    {
        if (!isUri)
        {
            yield return "What does not begin with 'pkcs11:', in small letters, it takes for the path of a module.";
            yield break;
        }

        if (!reading.IsAccepted)
        {
            yield return "It refuses the URI, and ends every connection.";
            yield break;
        }

        if (text.AsSpan().IndexOfAny(" \n\r\v") >= 0)
            yield return "It deletes white space; in a target, which is a list, white space begins another URI.";
        if (text.Contains('\0', StringComparison.Ordinal))
            yield return "It reads nothing behind the NUL.";
        foreach (var name in reading.Overwritten)
            yield return $"It takes the last '{name}' of several.";
        foreach (var name in reading.Any)
            yield return $"It reads '{name}', which begins with NUL, as any value.";
        foreach (var name in reading.Unrecognized.Distinct(StringComparer.Ordinal))
        {
            yield return TargetUriPolicy.FieldSize(name) is { } size
                ? string.Create(CultureInfo.InvariantCulture, $"It exposes nothing: '{name}' is longer than the {size} bytes that a token's has.")
                : $"It exposes nothing: '{Printable(name)}' is no attribute of a token to it.";
        }

        // An attribute that is in the path as it is written, and that p11-kit has read as one of the query.
        if (uri is null && reading.Ignored.Find(name => TargetUriPolicy.FieldSize(name) is not null) is { } lost)
            yield return $"It ignores '{lost}': behind an attribute that is empty (a ';' too many) it reads a query.";
        if (uri is { QueryAttributes: [var query, ..] })
            yield return $"It ignores the query ('{query}').";
        if (reading.Ignored.Exists(ServerReading.IsPin))
            yield return "It ignores the PIN, which 'ps' and everyone who may read the target would show.";
    }

    static string Printable(string name) => string.Concat(name.Select(c => char.IsControl(c) ? '?' : c));

    /// <summary>The text up to where a PIN may begin. White space does not keep p11-kit from finding one.</summary>
    static string WithoutPin(string text) => PinName().Match(text) is { Success: true } pin ? $"{text[..(pin.Index + pin.Length)]}…" : text;

    [GeneratedRegex(@"[;?&:]\s*p\s*i\s*n", RegexOptions.IgnoreCase | RegexOptions.CultureInvariant, 1000)]
    private static partial Regex PinName();
}
