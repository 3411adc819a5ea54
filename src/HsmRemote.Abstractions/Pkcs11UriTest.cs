namespace HsmRemote;

/// <summary>What comes of a URI in a server's target.</summary>
public enum Pkcs11UriOutcome
{
    /// <summary>The server selects tokens by it as it is meant.</summary>
    AsMeant,

    /// <summary>The server exposes nothing for it, whatever tokens there are, and does not say so.</summary>
    Nothing,

    /// <summary>The server exposes more than the URI says, and does not say so.</summary>
    More,

    /// <summary>The server exposes every token.</summary>
    Everything,

    /// <summary>The server ends every connection, whatever other URIs its target has.</summary>
    NoConnection,
}

/// <summary>What the server will make of a URI.</summary>
public sealed class Pkcs11UriTest
{
    /// <summary>The text that was given, cut off where a PIN would begin.</summary>
    public required string Text { get; init; }

    /// <summary>Whether the text is a PKCS #11 URI of RFC 7512, as HsmRemote reads it.</summary>
    public bool IsValid => Uri is not null;

    /// <summary>The URI in p11tool's form, or null when the text is none. Binds to -Uri.</summary>
    public Pkcs11Uri? Uri { get; init; }

    /// <summary>Why the text is no URI, or null.</summary>
    public string? Error { get; init; }

    /// <summary>Where it is none, counted in characters from 0, or null.</summary>
    public int? Offset { get; init; }

    /// <summary>What comes of it in a target.</summary>
    public required Pkcs11UriOutcome Outcome { get; init; }

    /// <summary>The URI that the server reads, in p11tool's form, or null when it reads none.</summary>
    public Pkcs11Uri? ServerReads { get; init; }

    /// <summary>The attributes that the server selects tokens by.</summary>
    public required IReadOnlyList<string> Uses { get; init; }

    /// <summary>The attributes that make no difference to the server.</summary>
    public required IReadOnlyList<string> Ignores { get; init; }

    /// <summary>What the server reads otherwise than it is written, each in a sentence.</summary>
    public required IReadOnlyList<string> Misreads { get; init; }

    /// <summary>The tokens of this host that a server exposes for it now. A server that has its own environment may see others.</summary>
    public required IReadOnlyList<Pkcs11Token> Exposes { get; init; }

    /// <summary>Why Set-P11TargetUri would refuse it, or null when it would not.</summary>
    public string? Refusal { get; init; }

    /// <inheritdoc/>
    public override string ToString() => Text;
}
