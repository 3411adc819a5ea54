namespace HsmRemote.Services.Server;

/// <summary>Which URIs may be a target: those that p11-kit reads as they are meant.</summary>
static class TargetUriPolicy
{
    static readonly string[] ObjectAttributes = ["object", "type", "id"];

    /// <summary>The size of a token's field, PKCS #11 v2.40 section 3.2, in bytes; a longer value matches no token. Null when there is no such field.</summary>
    internal static int? FieldSize(string attribute) => attribute switch
    {
        "token" or "manufacturer" => 32,
        "model" or "serial" => 16,
        _ => null,
    };

    /// <summary>What of the URIs becomes the target: each token once, without the attributes of an object.</summary>
    /// <exception cref="HsmRemoteException">The server would misread one of them.</exception>
    internal static IReadOnlyList<Pkcs11Uri> Apply(IEnumerable<Pkcs11Uri> uris, IReporter reporter) =>
        [.. uris.Select(uri => Apply(uri, reporter)).Distinct()];

    /// <summary>What of a URI becomes the target.</summary>
    /// <exception cref="HsmRemoteException">The server would misread it.</exception>
    internal static Pkcs11Uri Apply(Pkcs11Uri uri, IReporter reporter)
    {
        if (Refusal(uri) is { } refusal)
            throw refusal;
        var token = uri.ToTokenUri();
        if (token != uri)
            reporter.Warning($"A target is a token: of '{uri}' only '{token}' is used.");
        return token;
    }

    /// <summary>Why a URI cannot be a target, or null when it can.</summary>
    internal static HsmRemoteException? Refusal(Pkcs11Uri uri)
    {
        if (uri.HasPin)
        {
            return Refused("TargetUriHasPin", uri, "it holds a PIN, which 'ps', the journal and everyone who may read the file would show",
                "Leave pin-value and pin-source out; whoever uses the key gives the PIN.");
        }

        foreach (var name in uri.PathAttributes)
        {
            var size = FieldSize(name);
            if (size is null && !ObjectAttributes.Contains(name, StringComparer.Ordinal))
            {
                return Refused("TargetUriNotForToken", uri, $"with '{name}' in it, p11-kit's server exposes nothing, and does not say so",
                    "Use only token, manufacturer, model and serial, as Get-Pkcs11Token gives them.");
            }

            if (uri.ByteCount(name) > size)
            {
                return Refused("TargetUriTooLong", uri, $"'{name}' has {uri.ByteCount(name)} bytes and a token's field has {size}, so no token matches",
                    "Take the URI from Get-Pkcs11Token.");
            }
        }

        if (uri.QueryAttributes is [var query, ..])
        {
            return Refused("TargetUriNotForToken", uri, $"p11-kit's server ignores '?{query}', and so would expose more than the URI says",
                "Use only token, manufacturer, model and serial, as Get-Pkcs11Token gives them.");
        }

        return uri.ToTokenUri().PathAttributes.Count > 0
            ? null
            : Refused("TargetUriExposesAll", uri, "it names no token, so the server would expose all of them",
                "Name the tokens: 'Get-Pkcs11Token | Set-P11TargetUri -Name NAME' takes all that are here now.");
    }

    static HsmRemoteException Refused(string errorId, Pkcs11Uri uri, string why, string remedy) =>
        new(errorId, FailureKind.InvalidArgument, $"'{uri}' cannot be a target: {why}.", remedy, uri);
}
