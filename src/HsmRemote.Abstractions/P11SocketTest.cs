namespace HsmRemote;

/// <summary>What was seen of a socket, from the side of the one who connects: a ladder of checks, each resting on the last.</summary>
public sealed class P11SocketTest
{
    /// <summary>The instance, or null when a bare socket was tested.</summary>
    public string? Name { get; init; }

    /// <summary>The socket's absolute path.</summary>
    public required string SocketPath { get; init; }

    /// <summary>Who connected.</summary>
    public required P11Identity Identity { get; init; }

    /// <summary>True only when the token that the target asks for is there, and signs if it was asked to.</summary>
    public required bool Succeeded { get; init; }

    /// <summary>The check that failed, or null.</summary>
    public P11SocketCheckName? FailedCheck { get; init; }

    /// <summary>Why it failed, or what deserves a look although it works (SeveralMatches); None when all is well.</summary>
    public required P11SocketCause Cause { get; init; }

    /// <summary>What is wrong and why, in a sentence each; null when all is well.</summary>
    public string? Explanation { get; init; }

    /// <summary>What to do about it, with commands that can be pasted; null when all is well.</summary>
    public string? Remedy { get; init; }

    /// <summary>The tokens that this identity sees.</summary>
    public required IReadOnlyList<Pkcs11Token> Tokens { get; init; }

    /// <summary>The mechanisms of the tokens that the target asks for, by name, or by number where none is known.</summary>
    public IReadOnlyList<string> Mechanisms { get; init; } = [];

    /// <summary>Those of them that an application does not see when its p11-kit-client.so is too old.</summary>
    public IReadOnlyList<P11HiddenMechanism> HiddenMechanisms { get; init; } = [];

    /// <summary>What the journal has of the connection, the oldest line first; null when nothing was looked for or found there.</summary>
    public IReadOnlyList<string>? Journal { get; init; }

    /// <summary>The version of the RPC protocol that the server answered with, or null when it did not.</summary>
    public int? ServerVersion { get; init; }

    /// <summary>How long the whole took.</summary>
    public required TimeSpan Duration { get; init; }

    /// <summary>The checks, in order.</summary>
    public required IReadOnlyList<P11SocketCheck> Checks { get; init; }
}

/// <summary>One check of the ladder.</summary>
/// <param name="Name">Which.</param>
/// <param name="Status">How it ended.</param>
/// <param name="Detail">What was seen.</param>
/// <param name="Duration">How long it took.</param>
public sealed record P11SocketCheck(P11SocketCheckName Name, P11SocketCheckStatus Status, string Detail, TimeSpan Duration);

/// <summary>A mechanism that the token has and that p11-kit-client.so hides from applications.</summary>
/// <param name="Name">The mechanism.</param>
/// <param name="VisibleFrom">The first p11-kit whose client shows it; null when none does.</param>
public sealed record P11HiddenMechanism(string Name, string? VisibleFrom)
{
    /// <inheritdoc/>
    public override string ToString() => VisibleFrom is null ? Name : $"{Name} (before p11-kit {VisibleFrom})";
}

/// <summary>The checks, in order.</summary>
public enum P11SocketCheckName
{
    /// <summary>Of a socket that is forwarded over ssh: the tunnel stands. Not of others.</summary>
    Tunnel,

    /// <summary>Of a socket that is forwarded over ssh: the other end is there. Not of others.</summary>
    RemoteEnd,

    /// <summary>The path is there, and its directories can be searched.</summary>
    Path,

    /// <summary>It is a socket.</summary>
    SocketType,

    /// <summary>The identity may write to it.</summary>
    Permission,

    /// <summary>Somebody listens and accepts.</summary>
    Connect,

    /// <summary>The far side did not refuse this peer.</summary>
    Peer,

    /// <summary>It speaks the p11-kit RPC protocol.</summary>
    Protocol,

    /// <summary>The modules behind it initialise.</summary>
    Initialize,

    /// <summary>There are slots with tokens.</summary>
    Slots,

    /// <summary>The tokens are the ones that the target asks for.</summary>
    Target,

    /// <summary>The token takes the PIN. Only when one is given.</summary>
    Login,

    /// <summary>The private key signs, and the signature verifies. Only when a PIN is given.</summary>
    Sign,
}

/// <summary>How a check ended.</summary>
public enum P11SocketCheckStatus
{
    /// <summary>It is as it has to be.</summary>
    Passed,

    /// <summary>It is not; this is what to mend.</summary>
    Failed,

    /// <summary>It was not tried: a check before it failed, or it does not apply.</summary>
    Skipped,
}

/// <summary>The stable code of what is wrong.</summary>
public enum P11SocketCause
{
    /// <summary>Nothing is wrong.</summary>
    None,

    /// <summary>The process of the tunnel that forwards the socket does not run.</summary>
    TunnelStopped,

    /// <summary>The other machine of a forwarded socket does not answer.</summary>
    FarSideUnreachable,

    /// <summary>The other machine of a forwarded socket does not let the tunnel in.</summary>
    FarSideDeniesLogin,

    /// <summary>The host key of the other machine of a forwarded socket is not known.</summary>
    HostKeyUnknown,

    /// <summary>The host key of the other machine of a forwarded socket is not the one that is known.</summary>
    HostKeyChanged,

    /// <summary>The other machine's sshd does not forward sockets.</summary>
    ForwardingNotAllowed,

    /// <summary>A forwarded socket cannot be made where it should: something is there, or a stale one cannot be removed.</summary>
    StaleForward,

    /// <summary>The tunnel stands, and the server at its other end does not answer.</summary>
    RemoteNotAnswering,

    /// <summary>The process has no address of a server in its environment.</summary>
    AddressLost,

    /// <summary>The address in the process's environment is none that p11-kit reads as a Unix socket's.</summary>
    AddressMalformed,

    /// <summary>There is nothing at the path.</summary>
    PathMissing,

    /// <summary>A directory on the way cannot be searched by this identity.</summary>
    DirectoryNotSearchable,

    /// <summary>What is at the path is no socket.</summary>
    NotASocket,

    /// <summary>This identity may not write to the socket.</summary>
    NotWritable,

    /// <summary>Whether this identity can connect is computed only: the caller may not take it on.</summary>
    IdentityNotPermitted,

    /// <summary>The socket's file is there, and nobody listens on it.</summary>
    NobodyListening,

    /// <summary>The instance listens, and the file at the path is not what it listens on.</summary>
    StaleSocketFile,

    /// <summary>The process sees another file at the path than the host: the one that was there when it was mounted.</summary>
    StaleBindMount,

    /// <summary>Somebody listens, and its queue is full: it does not accept.</summary>
    NeverAccepted,

    /// <summary>The far side closed before its version byte, or refused.</summary>
    ClosedByPeer,

    /// <summary>The server wants another uid or another primary gid than this identity has.</summary>
    PeerRefused,

    /// <summary>The process behind the connection ended before its first byte, and the journal says why.</summary>
    RemoteFailed,

    /// <summary>The server connects to itself: this host's own p11-kit is configured with the socket that it serves.</summary>
    ClientLoop,

    /// <summary>The instance has no target, and so exposes nothing.</summary>
    NoTarget,

    /// <summary>It does not answer in time.</summary>
    Silent,

    /// <summary>What answers does not speak p11-kit's protocol.</summary>
    NotP11Kit,

    /// <summary>The far side closed in the middle of the conversation.</summary>
    ConnectionLost,

    /// <summary>It spoke p11-kit's protocol, and then sent something that is not of its form.</summary>
    MalformedReply,

    /// <summary>A call failed with a PKCS #11 error.</summary>
    Pkcs11Error,

    /// <summary>There is no slot with a token.</summary>
    NoSlots,

    /// <summary>There are tokens, and none is the one that the target asks for.</summary>
    TargetNotFound,

    /// <summary>The token is there, and has never been initialised.</summary>
    TokenNotInitialized,

    /// <summary>One URI of the target fits several tokens.</summary>
    SeveralMatches,

    /// <summary>There is a token that no URI of the target asks for.</summary>
    ExposesMore,

    /// <summary>The token has no user PIN yet.</summary>
    PinNotSet,

    /// <summary>One attempt is left, and it was not made without -Force.</summary>
    PinFinalTry,

    /// <summary>Too many wrong PINs: the token takes none any more.</summary>
    PinLocked,

    /// <summary>The PIN is wrong.</summary>
    PinIncorrect,

    /// <summary>The PIN is typed on the token or its reader, so it cannot be given here.</summary>
    PinOnReader,

    /// <summary>There is no such private key.</summary>
    KeyNotFound,

    /// <summary>There are several private keys, and none was named.</summary>
    KeyAmbiguous,

    /// <summary>The key is of a type whose signatures cannot be verified here.</summary>
    KeyUnsupported,

    /// <summary>There is neither a public key nor a certificate to verify with.</summary>
    PublicKeyNotFound,

    /// <summary>The token does not sign with that mechanism or that key.</summary>
    MechanismRefused,

    /// <summary>The token signed, and the signature is not the key's.</summary>
    SignatureInvalid,
}

/// <summary>Who connects: a uid, a gid, and the groups besides; and, of a process, the file system that it sees.</summary>
/// <param name="UserId">The user's number.</param>
/// <param name="GroupId">The primary group's number.</param>
/// <param name="SupplementaryGroupId">The other groups' numbers.</param>
/// <param name="UserName">The name that was asked for, or null.</param>
/// <param name="ProcessId">The process that it was taken from, or null.</param>
/// <param name="ContainerName">The container whose main process that is, or null.</param>
public sealed record P11Identity(
    uint UserId, uint GroupId, IReadOnlyList<uint> SupplementaryGroupId, string? UserName = null, int? ProcessId = null, string? ContainerName = null)
{
    /// <inheritdoc/>
    public override string ToString() =>
        (UserName is null ? "" : $"{UserName} ")
        + (ContainerName is null ? "" : $"container {ContainerName} ")
        + (ProcessId is null ? "" : $"process {ProcessId} ")
        + $"uid={UserId} gid={GroupId}"
        + (SupplementaryGroupId.Count == 0 ? "" : $" groups={string.Join(',', SupplementaryGroupId)}");
}

/// <summary>A socket to test, and what is known of it.</summary>
/// <param name="Name">The instance that it belongs to, or null.</param>
/// <param name="SocketPath">Its absolute path, as the identity sees it; empty: the one that the process's own P11_KIT_SERVER_ADDRESS has.</param>
/// <param name="TargetUri">The tokens that it is to expose; empty: none; null: nobody knows.</param>
/// <param name="Unit">The unit that listens, or null when nobody knows.</param>
/// <param name="IsManaged">Whether HsmRemote installed the instance, and can change it; true where there is none yet.</param>
/// <param name="Scope">Whose systemd has the unit.</param>
public sealed record P11SocketEndpoint(
    string? Name, string SocketPath, IReadOnlyList<Pkcs11Uri>? TargetUri = null, string? Unit = null, bool IsManaged = true, P11KitServerScope Scope = P11KitServerScope.System)
{
    /// <summary>The socket of an instance.</summary>
    /// <param name="server">The instance.</param>
    /// <param name="socketPath">The socket's absolute path, as whoever connects sees it.</param>
    /// <returns>The endpoint, with what the instance says of it.</returns>
    public static P11SocketEndpoint Of(P11KitServer server, string socketPath)
    {
        ArgumentNullException.ThrowIfNull(server);
        return new(server.Name, socketPath, server.TargetUri, server.Unit, server.IsManaged, server.Scope);
    }
}

/// <summary>Which identity to test as. All null: the caller.</summary>
/// <param name="UserName">A user's name; its groups come with it.</param>
/// <param name="UserId">A user's number.</param>
/// <param name="GroupId">The primary group's number; by default the user's own.</param>
/// <param name="SupplementaryGroupId">The other groups' numbers; by default none.</param>
/// <param name="ProcessId">A process, with its ids, its groups and its view of the file system.</param>
/// <param name="ContainerName">A container of podman or docker: its main process.</param>
public sealed record P11IdentityRequest(
    string? UserName = null, uint? UserId = null, uint? GroupId = null, IReadOnlyList<uint>? SupplementaryGroupId = null,
    int? ProcessId = null, string? ContainerName = null);
