namespace HsmRemote;

/// <summary>A connection to an instance that is open: who is connected, and what serves it.</summary>
public sealed record P11KitConnection
{
    /// <summary>The instance.</summary>
    public required string Name { get; init; }

    /// <summary>Whose the instance is.</summary>
    public P11KitServerScope Scope { get; init; }

    /// <summary>The process that connected, as the kernel noted it then. It may have ended, and left the connection to another.</summary>
    public required int ProcessId { get; init; }

    /// <summary>The effective user id that it connected with, as this host numbers it.</summary>
    public required uint UserId { get; init; }

    /// <summary>The effective primary group id that it connected with.</summary>
    public required uint GroupId { get; init; }

    /// <summary>The user's name, or null when the host has none for the number.</summary>
    public string? UserName { get; init; }

    /// <summary>The name of the program that the process runs, cut to 15 bytes; null when it has ended. Arguments are left out: they may hold a PIN.</summary>
    public string? Command { get; init; }

    /// <summary>The engine of the container that the process is in (podman, docker …); null outside of one.</summary>
    public string? ContainerEngine { get; init; }

    /// <summary>The container's id; null outside of one.</summary>
    public string? ContainerId { get; init; }

    /// <summary>The container's name; null when it is not known.</summary>
    public string? ContainerName { get; init; }

    /// <summary>When the connection was made, in local time, to a hundredth of a second.</summary>
    public required DateTimeOffset Since { get; init; }

    /// <summary>The tokens that this connection was started with; a target that was set later is not its own.</summary>
    public required IReadOnlyList<Pkcs11Uri> TargetUri { get; init; }

    /// <summary>The process that serves it.</summary>
    public required int ServerProcessId { get; init; }

    /// <summary>When that process was started, in hundredths of a second since the boot: with its id, it names the process for good.</summary>
    public required ulong ServerStartTicks { get; init; }

    /// <summary>The unit that it belongs to.</summary>
    public required string Unit { get; init; }

    /// <inheritdoc/>
    public override string ToString() => $"{Name}: process {ProcessId}, user {UserName ?? $"{UserId}"}";
}
