namespace HsmRemote;

/// <summary>What becomes of the target that an instance has.</summary>
public enum P11TargetChange
{
    /// <summary>The URIs replace it.</summary>
    Set,

    /// <summary>The URIs are added to it.</summary>
    Add,

    /// <summary>The URIs, and what names the same tokens, are taken out of it.</summary>
    Remove,
}

/// <summary>How a token is named in a target.</summary>
public enum P11TargetForm
{
    /// <summary>As p11tool prints it: model, manufacturer, serial number and label.</summary>
    P11Tool,

    /// <summary>In the fewest characters that name it and no other token of this host. No slot numbers, which change at a reboot.</summary>
    Minimal,
}

/// <summary>A target that an instance is to have.</summary>
public sealed record P11TargetRequest
{
    /// <summary>The instance.</summary>
    public required string Name { get; init; }

    /// <summary>Whose instance; null: the one that there is.</summary>
    public P11KitServerScope? Scope { get; init; }

    /// <summary>The tokens' URIs, one for each token: given twice, a URI may select two.</summary>
    public required IReadOnlyList<Pkcs11Uri> Uri { get; init; }

    /// <summary>What becomes of the target that there is.</summary>
    public P11TargetChange Change { get; init; }

    /// <summary>How the tokens are named.</summary>
    public P11TargetForm Form { get; init; }

    /// <summary>Also when a URI selects no token, or others besides.</summary>
    public bool Force { get; init; }

    /// <summary>Leaves connections open that see tokens which are no more in the target.</summary>
    public bool KeepConnections { get; init; }

    /// <summary>How long a module, or the server, may take.</summary>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>The environment for the modules: see <see cref="Pkcs11TokenQuery.Environment"/>.</summary>
    public IReadOnlyDictionary<string, string> Environment { get; init; } = new Dictionary<string, string>(StringComparer.Ordinal);
}

/// <summary>The changes that lead to a target.</summary>
public interface IP11TargetPlan : IChangePlan
{
    /// <summary>The target, once the changes are made.</summary>
    IReadOnlyList<Pkcs11Uri> Target { get; }

    /// <summary>The tokens of this host that the target selects now.</summary>
    Task<IReadOnlyList<Pkcs11Token>> SelectedAsync(IReporter reporter, CancellationToken cancellationToken);

    /// <summary>Asks the server, through its own socket, what it exposes. What keeps it from answering is a warning.</summary>
    /// <returns>The tokens, or null when it does not answer.</returns>
    Task<IReadOnlyList<Pkcs11Token>?> ExposedAsync(IReporter reporter, CancellationToken cancellationToken);
}

/// <summary>What Set-P11TargetUri changed, and what the instance exposes.</summary>
public sealed class P11TargetResult : P11ChangeResult
{
    /// <summary>The target: the URIs that the instance has now or, with -WhatIf, would have. Binds to -Uri.</summary>
    public required IReadOnlyList<Pkcs11Uri> Uri { get; init; }

    /// <summary>
    /// The tokens that the server exposes, asked through its own socket; with -WhatIf those of the host that it would. Null when it
    /// does not answer.
    /// </summary>
    public required IReadOnlyList<Pkcs11Token>? Exposes { get; init; }
}
