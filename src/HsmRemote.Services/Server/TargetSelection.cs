namespace HsmRemote.Services.Server;

/// <summary>What URIs select of the tokens that are there, and which URIs name a token best.</summary>
/// <param name="live">Every token of the host that a server could expose.</param>
sealed class TargetSelection(IReadOnlyList<Pkcs11Token> live)
{
    static readonly string[] Fields = ["token", "manufacturer", "model", "serial"];

    /// <summary>
    /// Asks for every token that a server could expose: those that are not initialised, and p11-kit's certificates, too; of the modules
    /// that p11-kit gives to the server. Isolated, since what loads them is about to change the host.
    /// </summary>
    internal static Pkcs11TokenQuery Live(Pkcs11TokenQuery query, string program) =>
        query with { Program = program, Isolated = true, IncludeUninitialized = true, IncludeTrust = true };

    internal IReadOnlyList<Pkcs11Token> Of(Pkcs11Uri uri) => [.. live.Where(token => uri.Matches(token.Uri))];

    internal IReadOnlyList<Pkcs11Token> Of(IReadOnlyList<Pkcs11Uri> uris) => [.. live.Where(token => uris.Any(uri => uri.Matches(token.Uri)))];

    /// <summary>Fails unless each URI selects as many tokens as are named by it.</summary>
    /// <param name="uris">The URIs, each as often as it was given: two tokens that nothing tells apart have the same.</param>
    /// <exception cref="HsmRemoteException">One selects none, or others besides.</exception>
    internal void Require(IReadOnlyList<Pkcs11Uri> uris)
    {
        foreach (var uri in uris.Distinct())
        {
            var selected = Of(uri);
            if (selected.Count == 0)
            {
                throw new HsmRemoteException(
                    "TargetUriSelectsNothing", FailureKind.NotFound, $"'{uri}' selects no token that is there now. {There()}",
                    "Plug it in and run the command again. If it is to be plugged in later, or only the server sees it, add -Force.", uri);
            }

            // A wide URI may select what a narrow one beside it names.
            if (selected.Count > uris.Count(uri.Covers))
            {
                throw new HsmRemoteException(
                    "TargetUriAmbiguous", FailureKind.InvalidArgument, $"'{uri}' selects {selected.Count} tokens: {Describe(selected)}.",
                    selected.DistinctBy(token => token.Uri).Count() > 1
                        ? "Give the whole URI of the one that is meant, or of each. If all of them are meant, add -Force."
                        : "Nothing that p11-kit compares tells them apart: unplug the others, or add -Force to expose them all.",
                    uri);
            }
        }
    }

    /// <summary>
    /// The URI of the fewest characters that selects the tokens with a URI, and no others; the URI itself when others cannot be kept out. Of two
    /// that are as short, the first by its characters.
    /// </summary>
    internal Pkcs11Uri Minimal(Pkcs11Uri token)
    {
        var wanted = live.Where(other => other.Uri == token).ToList();
        return Enumerable.Range(1, (1 << Fields.Length) - 1)
            .Select(fields => Part(token, fields))
            .Where(uri => Of(uri).SequenceEqual(wanted))
            .DefaultIfEmpty(token)
            .MinBy(uri => (uri.ToString().Length, uri.ToString()), Comparer<(int Length, string Text)>.Create((a, b) =>
                a.Length != b.Length ? a.Length.CompareTo(b.Length) : string.CompareOrdinal(a.Text, b.Text)))!;
    }

    /// <summary>The minimal URI of the token that a URI names: the one whose own it is, or else the one that it selects. Itself when that is not one.</summary>
    /// <param name="uri">The URI.</param>
    /// <param name="each">Whether the minimal URIs of all are wanted when it selects several.</param>
    internal IEnumerable<Pkcs11Uri> Minimals(Pkcs11Uri uri, bool each)
    {
        if (live.Any(token => token.Uri == uri))
            return [Minimal(uri)];
        var selected = Of(uri);
        return selected.Count == 1 || each ? selected.Select(token => Minimal(token.Uri)).DefaultIfEmpty(uri) : [uri];
    }

    internal static string Describe(IEnumerable<Pkcs11Token> tokens) => string.Join(", ", tokens.Select(token =>
        $"{(token.IsInitialized ? $"'{token.Label}'" : "a token that is not initialised")} ({token.Uri}, in slot {token.SlotId} of {token.Module ?? token.ModulePath ?? token.SocketPath})"));

    /// <summary>The URI of some fields of a token. What is blank is said with an empty value, for which p11-kit takes a blank field only.</summary>
    static Pkcs11Uri Part(Pkcs11Uri token, int fields)
    {
        var written = token.ToString()[Pkcs11Uri.Scheme.Length..].Split(';');
        return Pkcs11Uri.Parse(Pkcs11Uri.Scheme + string.Join(';', Fields.Where((_, bit) => (fields >> bit & 1) == 1).Select(Field)));

        string Field(string name) => Array.Find(written, field => field.StartsWith($"{name}=", StringComparison.Ordinal)) ?? $"{name}=";
    }

    string There()
    {
        var labels = string.Join(", ", live.Where(token => token is { IsInitialized: true, IsTrustModule: false }).Select(token => $"'{token.Label}'").Distinct(StringComparer.Ordinal));
        return labels.Length == 0 ? "There is none." : $"There is: {labels}.";
    }
}
