namespace HsmRemote.Services.Sockets;

/// <summary>The token that comes nearest to a target that is not there, and what differs.</summary>
sealed record TargetMismatch(Pkcs11Token Token, string Difference)
{
    /// <summary>The token with the most attributes of the target; null when there are no tokens.</summary>
    internal static TargetMismatch? Nearest(Pkcs11Uri target, IReadOnlyList<Pkcs11Token> tokens)
    {
        var attributes = SingleAttributes(target);
        var nearest = tokens.MaxBy(t => attributes.Count(a => a.Matches(t.Uri)));
        if (nearest is null)
            return null;
        var different = attributes.Find(a => !a.Matches(nearest.Uri));
        return different is null
            ? new(nearest, "it is not initialised")
            : new(nearest, Compare(different, nearest.Uri));
    }

    // One URI for each attribute, so that there is one rule of what matches.
    static List<Pkcs11Uri> SingleAttributes(Pkcs11Uri uri) =>
        [.. Attributes(uri).Select(a => Pkcs11Uri.Parse(Pkcs11Uri.Scheme + a))];

    static string Compare(Pkcs11Uri different, Pkcs11Uri token)
    {
        var name = different.PathAttributes[0];
        var wanted = Attributes(different)[0];
        return name is "token" or "manufacturer" or "model" or "serial"
            ? $"its {Array.Find(Attributes(token), a => a.StartsWith(name + '=', StringComparison.Ordinal)) ?? name + " is blank"}, not {wanted}"
            : $"'{name}' is no attribute of a token, so nothing matches it";
    }

    static string[] Attributes(Pkcs11Uri uri) =>
        uri.ToString()[Pkcs11Uri.Scheme.Length..].Split('?')[0].Split(';', StringSplitOptions.RemoveEmptyEntries);
}
