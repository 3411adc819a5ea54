namespace HsmRemote;

/// <summary>All that a container needs to use the token of an instance, whatever engine runs it; the engine only decides how it is written.</summary>
public sealed record P11ContainerConfig
{
    /// <summary>The instance. It binds to -Name.</summary>
    public required string Name { get; init; }

    /// <summary>The engine.</summary>
    public required P11ContainerEngine Engine { get; init; }

    /// <summary>The container that this was read from, or null.</summary>
    public string? Container { get; init; }

    /// <summary>The image, or null when none was given.</summary>
    public string? Image { get; init; }

    /// <summary>The user in the container, as engines take it (<c>5000:992</c>, <c>app</c>); null: the image's own.</summary>
    public string? User { get; init; }

    /// <summary>The socket, by the same path on the host and in the container.</summary>
    public required string SocketPath { get; init; }

    /// <summary>What is mounted: the directory of the socket.</summary>
    public required P11ContainerMount Mount { get; init; }

    /// <summary>The environment. No PIN is ever in it.</summary>
    public required IReadOnlyDictionary<string, string> Environment { get; init; }

    /// <summary>The supplementary group, by number, or <c>keep-groups</c>; null: none is needed.</summary>
    public string? SupplementaryGroup { get; init; }

    /// <summary>The user namespace to ask the engine for (<c>keep-id:uid=5000,gid=5000</c>, <c>host</c>); null: its default.</summary>
    public string? UserNamespace { get; init; }

    /// <summary>The security option that the socket needs (<c>label=disable</c>), or null.</summary>
    public string? SecurityLabel { get; init; }

    /// <summary>Whether the engine runs without root.</summary>
    public required bool Rootless { get; init; }

    /// <summary>Why each of these is there, or is not.</summary>
    public required IReadOnlyList<P11ContainerReason> Reasons { get; init; }

    /// <summary>Where a container that was read back is not as it needs to be. Empty: nowhere, or it was not read from a container.</summary>
    public IReadOnlyList<P11ContainerDifference> Differences { get; init; } = [];

    /// <summary>The arguments of <c>docker run</c> or <c>podman run</c>, one element each, with nothing quoted. Empty for other engines.</summary>
    public IReadOnlyList<string> Arguments { get; init; } = [];

    /// <summary>All of it as the engine reads it.</summary>
    public string Text { get; init; } = "";

    /// <inheritdoc/>
    public override string ToString() => Text;
}

/// <summary>Who reads the configuration.</summary>
public enum P11ContainerEngine
{
    /// <summary>Arguments of <c>docker run</c>.</summary>
    Docker,

    /// <summary>Arguments of <c>podman run</c>.</summary>
    Podman,

    /// <summary>A service of a compose file.</summary>
    Compose,

    /// <summary>A .container unit, podman-systemd.unit(5).</summary>
    Quadlet,

    /// <summary>A patch for a Pod.</summary>
    Kubernetes,

    /// <summary>The .env file that a compose file takes its variables from.</summary>
    Env,
}

/// <summary>The distribution of an image.</summary>
public enum P11ContainerDistribution
{
    /// <summary>Debian and what is made from it.</summary>
    Debian,

    /// <summary>Alpine.</summary>
    Alpine,
}

/// <summary>What confines containers on the host.</summary>
public enum P11SecurityModule
{
    /// <summary>Nothing that concerns a socket.</summary>
    None,

    /// <summary>SELinux.</summary>
    SELinux,

    /// <summary>AppArmor.</summary>
    AppArmor,
}

/// <summary>A bind mount.</summary>
/// <param name="Source">The directory on the host.</param>
/// <param name="Target">The directory in the container.</param>
/// <param name="ReadOnly">Whether nothing can be made or removed there. Connecting to a socket is neither.</param>
public sealed record P11ContainerMount(string Source, string Target, bool ReadOnly)
{
    /// <inheritdoc/>
    public override string ToString() => $"{Source}:{Target}{(ReadOnly ? ":ro" : "")}";
}

/// <summary>Why a setting is there.</summary>
/// <param name="Setting">The setting: Mount, Environment, User, Group, UserNamespace, SecurityLabel.</param>
/// <param name="Why">Why it is, or is not, there.</param>
public sealed record P11ContainerReason(string Setting, string Why)
{
    /// <inheritdoc/>
    public override string ToString() => $"{Setting}: {Why}";
}

/// <summary>Where a container is not as it needs to be.</summary>
/// <param name="Setting">The setting.</param>
/// <param name="Has">What the container has, or null: nothing.</param>
/// <param name="Needs">What it needs.</param>
/// <param name="Why">What comes of it.</param>
public sealed record P11ContainerDifference(string Setting, string? Has, string Needs, string Why)
{
    /// <inheritdoc/>
    public override string ToString() => $"{Setting}: has {Has ?? "none"}, needs {Needs}. {Why}";
}
