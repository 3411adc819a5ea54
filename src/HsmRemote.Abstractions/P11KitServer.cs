namespace HsmRemote;

/// <summary>An instance of a p11-kit server under systemd: its units, its socket and its target.</summary>
public sealed record P11KitServer
{
    /// <summary>The instance's name: of its units, of its directory in /etc.</summary>
    public required string Name { get; init; }

    /// <summary>What it is doing.</summary>
    public required P11KitServerState State { get; init; }

    /// <summary>How it serves.</summary>
    public required P11KitServerMode Mode { get; init; }

    /// <summary>Whose it is: the machine's, or a user's.</summary>
    public P11KitServerScope Scope { get; init; }

    /// <summary>Whether HsmRemote installed it; other instances are shown, tested and retargeted all the same.</summary>
    public required bool IsManaged { get; init; }

    /// <summary>Whether it starts with the machine.</summary>
    public required bool Enabled { get; init; }

    /// <summary>The socket's absolute path, or null when the units do not say.</summary>
    public string? SocketPath { get; init; }

    /// <summary>The socket's permissions, in octal (<c>0660</c>), or null when the server decides.</summary>
    public string? SocketMode { get; init; }

    /// <summary>The socket's owner, or null when the server decides.</summary>
    public string? SocketUser { get; init; }

    /// <summary>The socket's group, or null when the server decides.</summary>
    public string? Group { get; init; }

    /// <summary>The group's number, or null when there is no such group.</summary>
    public uint? GroupId { get; init; }

    /// <summary>The user that a peer has to be (<c>p11-kit server -u</c>), by name or number; null: any. Root is no exception.</summary>
    public string? PeerUser { get; init; }

    /// <summary>The group that a peer has to have as its primary one (<c>p11-kit server -g</c>), by name or number; null: any.</summary>
    public string? PeerGroup { get; init; }

    /// <summary>The tokens that it exposes. Empty: none. Null: its units do not say, or the caller may not read it.</summary>
    public required IReadOnlyList<Pkcs11Uri>? TargetUri { get; init; }

    /// <summary>The file that holds the target, or null when its units name none.</summary>
    public string? ConfigPath { get; init; }

    /// <summary>The environment variable that holds the target, or null when the URIs are in the command line itself.</summary>
    public string? TargetVariable { get; init; }

    /// <summary>The connections that are open, or null when the processes that serve them are hidden from the caller.</summary>
    public uint? Connections { get; init; }

    /// <summary>The connections accepted since the socket was started, or null when systemd does not count them for this mode.</summary>
    public uint? AcceptedConnections { get; init; }

    /// <summary>The connections refused since then, because too many were open; null when systemd does not count them for this mode.</summary>
    public uint? RefusedConnections { get; init; }

    /// <summary>How many connections systemd lets be open at a time, or null when it does not count them for this mode.</summary>
    public uint? MaxConnections { get; init; }

    /// <summary>How many of them one user may have (systemd 257 and later), or null for no such limit.</summary>
    public uint? MaxConnectionsPerSource { get; init; }

    /// <summary>The unit that listens: the socket, or the service of a daemon.</summary>
    public required string Unit { get; init; }

    /// <summary>That unit's file.</summary>
    public string? UnitPath { get; init; }

    /// <summary>The service unit that serves; a template (NAME@.service) per connection.</summary>
    public required string ServiceUnit { get; init; }

    /// <summary>The memory that the service, or the connections that are open, take, in bytes; null when not asked for, or systemd does not account for it.</summary>
    public ulong? MemoryBytes { get; init; }

    /// <summary>The processor time that the service, or the connections that are open, have taken; null when not asked for, or systemd does not account for it.</summary>
    public TimeSpan? CpuTime { get; init; }

    /// <summary>The administrator's drop-in files of its units; null when not asked for.</summary>
    public IReadOnlyList<string>? DropInPath { get; init; }

    /// <summary>The unit files that differ from what Install-P11KitServer would write; null when not asked for, or when HsmRemote did not write them.</summary>
    public IReadOnlyList<P11KitDrift>? Drift { get; init; }

    /// <summary>The files and directories that its service may write to besides its modules' own stores; null when not asked for, or when HsmRemote did not install it.</summary>
    public IReadOnlyList<string>? AllowPath { get; init; }

    /// <summary>The device nodes that its service may open besides those that its modules are known to need; null when not asked for, or when HsmRemote did not install it.</summary>
    public IReadOnlyList<string>? AllowDevice { get; init; }

    /// <summary>The environment variables that its modules were given; null when not asked for, or when HsmRemote did not install it.</summary>
    public IReadOnlyDictionary<string, string>? Environment { get; init; }

    /// <summary>The user that its service was given to run as; null for root, when not asked for, or when HsmRemote did not install it.</summary>
    public string? ServiceUser { get; init; }

    /// <summary>The last journal entries of its units, the newest last; null when not asked for, or when the caller may not read them.</summary>
    public IReadOnlyList<P11KitLogEntry>? Log { get; init; }

    /// <inheritdoc/>
    public override string ToString() => Name;
}

/// <summary>What an instance is doing.</summary>
public enum P11KitServerState
{
    /// <summary>It is not started.</summary>
    Stopped,

    /// <summary>It accepts connections.</summary>
    Listening,

    /// <summary>It is on its way up or down.</summary>
    Changing,

    /// <summary>It has failed; <c>systemctl status</c> of its unit says how.</summary>
    Failed,
}

/// <summary>How an instance serves.</summary>
public enum P11KitServerMode
{
    /// <summary>systemd accepts, and starts <c>p11-kit remote</c> for each connection.</summary>
    PerConnection,

    /// <summary>One <c>p11-kit server</c> accepts.</summary>
    Daemon,

    /// <summary>One systemd-socket-activate, sandboxed once, accepts, and starts <c>p11-kit remote</c> for each connection.</summary>
    Acceptor,
}

/// <summary>Whose an instance is.</summary>
public enum P11KitServerScope
{
    /// <summary>The machine's: units in /etc/systemd/system, started at boot.</summary>
    System,

    /// <summary>A user's: units of that user's own systemd, a socket under XDG_RUNTIME_DIR, for rootless containers.</summary>
    User,
}

/// <summary>What an instance is to be. What is null stays as it is installed, or takes its default.</summary>
public sealed record P11KitServerSpec
{
    /// <summary>The instance's name.</summary>
    public required string Name { get; init; }

    /// <summary>How it is to serve; by default PerConnection.</summary>
    public P11KitServerMode? Mode { get; init; }

    /// <summary>Whose it is to be; by default the machine's.</summary>
    public P11KitServerScope? Scope { get; init; }

    /// <summary>The socket's absolute path; by default /run/NAME/pkcs11, and of a user's pkcs11 in NAME in XDG_RUNTIME_DIR.</summary>
    public string? SocketPath { get; init; }

    /// <summary>The socket's permissions; by default 0660, and of a user's 0600.</summary>
    public UnixFileMode? SocketMode { get; init; }

    /// <summary>The socket's group; by default root.</summary>
    public string? Group { get; init; }

    /// <summary>The number that the group has, or is created with.</summary>
    public uint? GroupId { get; init; }

    /// <summary>The tokens to expose.</summary>
    public IReadOnlyList<Pkcs11Uri>? TargetUri { get; init; }

    /// <summary>How many connections may be open at a time, for PerConnection; by default 256.</summary>
    public uint? MaxConnections { get; init; }

    /// <summary>How many of them one user may have, for PerConnection; 0: all.</summary>
    public uint? MaxConnectionsPerSource { get; init; }

    /// <summary>The user that a peer has to be, for Daemon; empty: any.</summary>
    public string? PeerUser { get; init; }

    /// <summary>The group that a peer has to have as its primary one, for Daemon; empty: any.</summary>
    public string? PeerGroup { get; init; }

    /// <summary>The name that the instance has had so far, and is not to have any more; null: it keeps its name.</summary>
    public string? FormerName { get; init; }

    /// <summary>Whether an instance that something else installed is taken over.</summary>
    public bool Adopt { get; init; }

    /// <summary>Files and directories that the service may write to, beyond what its modules are known to need: absolute paths.</summary>
    public IReadOnlyList<string>? AllowPath { get; init; }

    /// <summary>Device nodes that the service may open, beyond what its modules are known to need: absolute paths.</summary>
    public IReadOnlyList<string>? AllowDevice { get; init; }

    /// <summary>Environment variables for the modules, such as SOFTHSM2_CONF. No secrets: everyone may read them.</summary>
    public IReadOnlyDictionary<string, string>? Environment { get; init; }

    /// <summary>The user that the service runs as; by default root.</summary>
    public string? ServiceUser { get; init; }

    /// <summary>The modules that have to be installed: softhsm2, opensc, tpm2, or a package's name.</summary>
    public IReadOnlyList<string> Modules { get; init; } = [];

    /// <summary>Whether packages that are missing are installed; else they are an error.</summary>
    public bool InstallPackage { get; init; }
}

/// <summary>The target of an instance: the tokens that it exposes.</summary>
public sealed class P11TargetUri
{
    /// <summary>The instance.</summary>
    public required string Name { get; init; }

    /// <summary>Whose it is.</summary>
    public required P11KitServerScope Scope { get; init; }

    /// <summary>The tokens that it exposes, one URI each. Empty: none. Binds to -Uri.</summary>
    public required IReadOnlyList<Pkcs11Uri> Uri { get; init; }

    /// <summary>The file that says so.</summary>
    public required string Path { get; init; }
}
