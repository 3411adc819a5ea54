namespace HsmRemote;

/// <summary>Which way a socket travels.</summary>
public enum P11ForwardDirection
{
    /// <summary>A socket of this host appears on the far side (ssh -R).</summary>
    Push,

    /// <summary>A socket of the far side appears on this host (ssh -L).</summary>
    Pull,
}

/// <summary>How the tunnel of a forward is.</summary>
public enum P11ForwardState
{
    /// <summary>The connection stands, and the socket is there.</summary>
    Connected,

    /// <summary>The first attempt to connect is under way.</summary>
    Connecting,

    /// <summary>The connection has dropped or could not be made; it is tried again, each time after a longer pause.</summary>
    Waiting,

    /// <summary>The tunnel's process does not run, and nothing starts it.</summary>
    Stopped,

    /// <summary>The tunnel's unit has failed.</summary>
    Failed,
}

/// <summary>A socket that is forwarded over ssh to another machine, or from there to here.</summary>
public sealed class P11SocketForward
{
    /// <summary>Its name, that of its unit without p11-forward- and .service.</summary>
    public required string Name { get; init; }

    /// <summary>How the tunnel is.</summary>
    public required P11ForwardState State { get; init; }

    /// <summary>Which way the socket travels.</summary>
    public required P11ForwardDirection Direction { get; init; }

    /// <summary>The host, as ssh was told; for colima, what its ssh-config calls the virtual machine.</summary>
    public required string HostName { get; init; }

    /// <summary>The port of sshd; null: what ssh's configuration says.</summary>
    public int? Port { get; init; }

    /// <summary>The user on the far side; null: what ssh's configuration says.</summary>
    public string? UserName { get; init; }

    /// <summary>The file of the private key for ssh; null: what ssh's configuration says.</summary>
    public string? KeyPath { get; init; }

    /// <summary>The configuration file for ssh; null: ssh's own ones.</summary>
    public string? SshConfig { get; init; }

    /// <summary>The profile of colima, or null.</summary>
    public string? ColimaProfile { get; init; }

    /// <summary>The socket on this host.</summary>
    public required string SocketPath { get; init; }

    /// <summary>The socket on the far side.</summary>
    public required string RemotePath { get; init; }

    /// <summary>The instance whose socket it is; null when a bare socket was named, or the socket is the far side's.</summary>
    public string? ServerName { get; init; }

    /// <summary>The permissions of the socket that is made, in octal.</summary>
    public required string SocketMode { get; init; }

    /// <summary>The user that the socket is given to where it is made; null: who made it.</summary>
    public string? Owner { get; init; }

    /// <summary>The group that the socket is given to where it is made; null: that of who made it.</summary>
    public string? Group { get; init; }

    /// <summary>Whether it starts with the machine, or with the user's systemd.</summary>
    public required bool IsPersistent { get; init; }

    /// <summary>Whose it is: the machine's, or the caller's own.</summary>
    public required P11KitServerScope Scope { get; init; }

    /// <summary>Since when the tunnel is in its state; null when nobody knows.</summary>
    public DateTimeOffset? Since { get; init; }

    /// <summary>How often it has been tried to connect since the tunnel's process was started.</summary>
    public int Attempts { get; init; }

    /// <summary>What ssh said when the last connection ended or could not be made; null when there is nothing.</summary>
    public string? LastError { get; init; }

    /// <summary>The tunnel's process, or null when it does not run.</summary>
    public int? ProcessId { get; init; }

    /// <summary>Its unit.</summary>
    public required string Unit { get; init; }

    /// <summary>The file of its unit.</summary>
    public required string UnitPath { get; init; }

    /// <inheritdoc/>
    public override string ToString() => Name;
}

/// <summary>A forward as it is to be.</summary>
public sealed record P11SocketForwardSpec
{
    /// <summary>Its name; null: made of the server's and the host's.</summary>
    public string? Name { get; init; }

    /// <summary>The instance whose socket is pushed; null: SocketPath says which socket.</summary>
    public string? ServerName { get; init; }

    /// <summary>The socket on this host; null: that of the instance or, of one that is pulled, one in the forward's own directory.</summary>
    public string? SocketPath { get; init; }

    /// <summary>The host, as ssh takes it; null with a profile of colima.</summary>
    public string? HostName { get; init; }

    /// <summary>The port of sshd, from 1 to 65535; null: what ssh's configuration says.</summary>
    public int? Port { get; init; }

    /// <summary>The user on the far side; null: what ssh's configuration says.</summary>
    public string? UserName { get; init; }

    /// <summary>The file of the private key, absolute; null: what ssh's configuration says.</summary>
    public string? KeyPath { get; init; }

    /// <summary>The configuration file for ssh, absolute; null: ssh's own ones.</summary>
    public string? SshConfig { get; init; }

    /// <summary>The profile of colima whose virtual machine is the far side; null: HostName is.</summary>
    public string? ColimaProfile { get; init; }

    /// <summary>The socket on the far side, absolute.</summary>
    public string? RemotePath { get; init; }

    /// <summary>Which way the socket travels.</summary>
    public P11ForwardDirection Direction { get; init; }

    /// <summary>The permissions of the socket that is made; null: 0660 with a group, 0600 without.</summary>
    public UnixFileMode? SocketMode { get; init; }

    /// <summary>The user that the socket is given to; null: who makes it.</summary>
    public string? Owner { get; init; }

    /// <summary>The group that the socket is given to; null: that of who makes it.</summary>
    public string? Group { get; init; }

    /// <summary>Whether it starts with the machine, or with the user's systemd.</summary>
    public bool Persist { get; init; }

    /// <summary>Whose it is; null: root's is the machine's, and others' their own.</summary>
    public P11KitServerScope? Scope { get; init; }
}

/// <summary>A server that runs from a prompt, for as long as the command does.</summary>
public sealed class P11KitForegroundServer
{
    /// <summary>The tokens that it exposes.</summary>
    public required IReadOnlyList<Pkcs11Uri> TargetUri { get; init; }

    /// <summary>The socket, which goes when the command ends.</summary>
    public required string SocketPath { get; init; }

    /// <summary>The process that serves.</summary>
    public required int ProcessId { get; init; }

    /// <summary>The line that gives a program on this machine the tokens.</summary>
    public required string Export { get; init; }

    /// <summary>The line that makes the socket appear on another machine; HOST is to be replaced.</summary>
    public required string Forward { get; init; }

    /// <summary>The line that gives a program there the tokens.</summary>
    public required string RemoteExport { get; init; }
}
