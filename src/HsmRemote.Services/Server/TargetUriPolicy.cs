namespace HsmRemote.Services.Server;

/// <summary>Which URIs may be a target: those that p11-kit reads as they are meant.</summary>
static class TargetUriPolicy
{
    // The field's sizes of CK_TOKEN_INFO, PKCS #11 v2.40 section 3.2; a longer value matches no token.
    static readonly Dictionary<string, int> TokenFields = new(StringComparer.Ordinal)
    {
        ["token"] = 32, ["manufacturer"] = 32, ["model"] = 16, ["serial"] = 16,
    };

    static readonly string[] ObjectAttributes = ["object", "type", "id"];

    /// <summary>What of the URIs becomes the target: each token once, without the attributes of an object.</summary>
    /// <exception cref="HsmRemoteException">The server would misread one of them.</exception>
    internal static IReadOnlyList<Pkcs11Uri> Apply(IEnumerable<Pkcs11Uri> uris, IReporter reporter) =>
        [.. uris.Select(uri => Apply(uri, reporter)).Distinct()];

    static Pkcs11Uri Apply(Pkcs11Uri uri, IReporter reporter)
    {
        if (uri.HasPin)
        {
            throw Refused("TargetUriHasPin", uri, "it holds a PIN, which 'ps', the journal and everyone who may read the file would show",
                "Leave pin-value and pin-source out; whoever uses the key gives the PIN.");
        }

        foreach (var name in uri.PathAttributes)
        {
            if (!TokenFields.ContainsKey(name) && !ObjectAttributes.Contains(name, StringComparer.Ordinal))
            {
                throw Refused("TargetUriNotForToken", uri, $"with '{name}' in it, p11-kit's server exposes nothing, and does not say so",
                    "Use only token, manufacturer, model and serial, as Get-Pkcs11Token gives them.");
            }

            if (TokenFields.TryGetValue(name, out var size) && uri.ByteCount(name) > size)
            {
                throw Refused("TargetUriTooLong", uri, $"'{name}' has {uri.ByteCount(name)} bytes and a token's field has {size}, so no token matches",
                    "Take the URI from Get-Pkcs11Token.");
            }
        }

        if (uri.QueryAttributes is [var query, ..])
        {
            throw Refused("TargetUriNotForToken", uri, $"p11-kit's server ignores '?{query}', and so would expose more than the URI says",
                "Use only token, manufacturer, model and serial, as Get-Pkcs11Token gives them.");
        }

        var token = uri.ToTokenUri();
        if (token.PathAttributes.Count == 0)
        {
            throw Refused("TargetUriExposesAll", uri, "it names no token, so the server would expose all of them",
                "Name the tokens: 'Get-Pkcs11Token | Set-P11TargetUri -Name NAME' takes all that are here now.");
        }

        if (token != uri)
            reporter.Warning($"A target is a token: of '{uri}' only '{token}' is used.");
        return token;
    }

    static HsmRemoteException Refused(string errorId, Pkcs11Uri uri, string why, string remedy) =>
        new(errorId, FailureKind.InvalidArgument, $"'{uri}' cannot be a target: {why}.", remedy, uri);
}
