using HsmRemote.Services.Containers;
using HsmRemote.Services.Native;
using HsmRemote.Services.P11KitRpc;
using HsmRemote.Services.Pkcs11;
using HsmRemote.Services.Systemd;

namespace HsmRemote.Services.Sockets;

/// <summary>Every way in which a check fails, in words: what was seen, what is wrong and why, and what to do.</summary>
sealed class SocketCauses(P11SocketEndpoint endpoint, P11Identity identity, TimeSpan timeout)
{
    readonly string path = endpoint.SocketPath;
    readonly string? name = endpoint.Name;
    readonly string systemctl = SystemdTools.Systemctl(endpoint.Scope);
    readonly string journalctl = SystemdTools.Journalctl(endpoint.Scope);
    readonly string unit = endpoint.Unit ?? $"{endpoint.Name}.socket";

    internal Rung PathMissing(PathWalkResult.Missing missing) => new(
        $"{missing.Path}: {missing.Why}",
        P11SocketCause.PathMissing,
        $"The way to {path} ends at {missing.Path}: {missing.Why}. The server was not started, has removed its socket on its way out, or the path is another one.",
        name is null
            ? "See where servers listen: `Get-P11KitServer`."
            : $"Start it: `{systemctl} start {unit}`. If there is no such unit: `Install-P11KitServer -Name {name}`.");

    internal Rung DirectoryNotSearchable(PathWalkResult.Barred barred) => new(
        $"{barred.Directory} ({barred.Status.Describe()}) bars the way",
        P11SocketCause.DirectoryNotSearchable,
        $"The directory {barred.Directory} ({barred.Status.Describe()}) cannot be searched by {identity}. "
        + "Whoever connects needs the x permission on every directory on the way.",
        $"Let it pass: `chmod o+x {ShellWord.Quote(barred.Directory)}`, or only this user: `setfacl -m u:{identity.UserId}:x {ShellWord.Quote(barred.Directory)}`.");

    internal Rung NotASocket(FileStatus status) => new(
        $"{status.TypeName}",
        P11SocketCause.NotASocket,
        $"What is at {path} is {status.TypeName}. Nobody can connect to it: it was put there in the socket's place, or is not the path that was meant.",
        status.IsDirectory
            ? "Name the socket in that directory. If a container engine made the directory, start the server first."
            : name is null
                ? "Name the socket: `Get-P11KitServer` shows where servers listen."
                : $"Remove it and start the server again: `rm {ShellWord.Quote(path)}; {systemctl} restart {unit}`.");

    internal Rung NotWritable(FileStatus status)
    {
        var byGroup = status.GroupMayWrite && status.UserId != identity.UserId;
        var isHidden = byGroup && identity.ProcessId is { } process && !ProcessView.Of(process).HasGroup(status.GroupId);
        return new(
            $"{status.Describe()} does not let {identity} write",
            P11SocketCause.NotWritable,
            $"The socket is {status.Describe()}, and {identity} may not write to it. Connecting needs the w permission"
            + (byGroup ? $", which comes with group {status.GroupId}." : ", which its group does not have either.")
            + (isHidden ? " It runs in a user namespace of its own, in which that group is nobody's: its groups are others on the host." : ""),
            (isHidden, byGroup) switch
            {
                (true, _) => $"Start it in the host's user namespace, and with the group: `--userns=host --group-add {status.GroupId}`. "
                    + "Or, where the engine is rootless, have its user be in the group, and give the container `--group-add keep-groups`.",
                (_, true) => $"Give the container the group: `--group-add {status.GroupId}` (here: `-SupplementaryGroup {status.GroupId}`). "
                    + $"Or give the socket a group that it has: {Regroup("-Group GROUP")}",
                _ => $"Give the socket a group that may write: {Regroup("-Group GROUP -SocketMode 0660")}",
            });
    }

    /// <summary>How the socket gets another group: ours by the cmdlet, others by their unit.</summary>
    string Regroup(string arguments) => endpoint.IsManaged
        ? $"`Install-P11KitServer -Name {name ?? "NAME"} {arguments}`."
        : $"`{systemctl} edit {unit}`.";

    internal Rung RefusedBySecurityModule() => new(
        "connect: permission denied, though the file's mode allows it",
        P11SocketCause.NotWritable,
        $"The mode of {path} lets {identity} connect, and the kernel refuses all the same. A security module (SELinux, AppArmor) forbids it.",
        "See what was denied: `journalctl -k -g 'avc|apparmor' -n 20`.");

    internal Rung IdentityNotPermitted(string detail) => new(
        detail,
        P11SocketCause.IdentityNotPermitted,
        $"Whether {identity} can connect was computed from modes and ACLs, and not tried. Only root may connect as another user, or as a process that sees other files.",
        "Run the same test as root: start the shell with `sudo`.");

    internal Rung NobodyListening() => new(
        "connection refused: nobody listens",
        P11SocketCause.NobodyListening,
        $"The file {path} is there and nobody listens on it. The server that made it has ended, or has made another one since and this is the old file.",
        (name is null ? "Start the server that makes it: `Get-P11KitServer` shows which." : $"Start it again: `{systemctl} restart {unit}`.")
        + " A container mounts the directory, never the socket itself.");

    internal Rung NeverAccepted() => new(
        $"the queue was full for {Seconds()}",
        P11SocketCause.NeverAccepted,
        "Somebody listens and its queue of connections is full. The server hangs, or has more connections than it may.",
        name is null
            ? $"See who listens: `ss -xlp src {ShellWord.Quote(path)}`, and start that server again."
            : $"See what it is doing and start it again: `{systemctl} status {unit}`, `{systemctl} restart {unit}`.");

    internal Rung AnotherKindOfSocket() => new(
        "a datagram or packet socket, not a stream",
        P11SocketCause.NotP11Kit,
        $"What listens on {path} is no stream socket. It is the socket of another service.",
        "See whose it is: `ss -xlp`, and where servers listen: `Get-P11KitServer`.");

    internal Rung ClosedByPeer(P11KitRpcException broken) => endpoint.TargetUri is []
        ? NoTarget("closed at once: there is no target")
        : new(
            $"closed before its first byte ({broken.Found})",
            P11SocketCause.ClosedByPeer,
            "The far side closed the connection before its first byte. It refuses this peer (`p11-kit server -u` and `-g` want that uid and that "
            + "primary gid), or its `p11-kit remote` ended: a URI that it cannot read, a module that does not load.",
            name is null
                ? "Read the journal of the unit that listens: `Get-P11KitServer` shows which."
                : $"Read what it says: `{journalctl} -n 20 -u '{name}@*' -u {name}.service`, and its target: `Get-P11TargetUri -Name {name}`.");

    /// <summary>A socket that sshd made here, and whose other end is another host's.</summary>
    internal Rung RemoteNotAnswering(P11KitRpcException broken) => RemoteNotAnswering($"closed before its first byte ({broken.Found})");

    internal Rung RemoteSilent() => RemoteNotAnswering($"no answer within {Seconds()}");

    Rung RemoteNotAnswering(string detail) => new(
        detail,
        P11SocketCause.RemoteNotAnswering,
        $"{path} is forwarded from another host, and nothing answers at the other end: the server there is stopped or refuses its ssh, or the connection to it is cut and sshd has not noticed yet.",
        "On the host that has the token: `Get-P11SocketForward | Test-P11SocketForward`, and `Test-P11Socket -Name NAME` for its server.");

    internal Rung NoTarget(string detail) => new(
        detail,
        P11SocketCause.NoTarget,
        $"The instance {name} has no target. It exposes no token until it is told which.",
        $"Tell it: `Get-Pkcs11Token -Label LABEL | Set-P11TargetUri -Name {name}`.");

    internal Rung Silent() => new(
        $"no answer within {Seconds()}",
        P11SocketCause.Silent,
        $"No answer came within {Seconds()}. A module or a reader behind the server is slow or hangs, or what listens is no p11-kit and waits for something else.",
        "Give it longer: `-TimeoutSeconds 30`. "
        + (name is null ? $"If it stays silent, see who listens: `ss -xlp src {ShellWord.Quote(path)}`." : $"If it stays silent: `{journalctl} -n 20 -u '{name}@*' -u {name}.service`."));

    internal Rung NotP11Kit(P11KitRpcException broken) => new(
        $"{broken.Call}: {broken.Found} for {broken.Expected}",
        P11SocketCause.NotP11Kit,
        $"What answers on {path} does not speak p11-kit's protocol: {broken.Found} came where {broken.Expected} was expected. It is another service.",
        $"See whose it is: `ss -xlp src {ShellWord.Quote(path)}`, and where servers listen: `Get-P11KitServer`.");

    internal Rung ConnectionLost(P11KitRpcException broken) => new(
        $"closed in {broken.Call} at offset {broken.Offset}",
        P11SocketCause.ConnectionLost,
        $"The far side closed the connection in the middle of {broken.Call}, at offset {broken.Offset} of its reply. A module crashed in it, or it was stopped.",
        name is null
            ? "Read the journal of the unit that listens: `Get-P11KitServer` shows which."
            : $"Read what it says: `{journalctl} -n 20 -u '{name}@*' -u {name}.service`.");

    internal Rung MalformedReply(P11KitRpcException broken) => new(
        $"{broken.Call}, offset {broken.Offset}: {broken.Found} for {broken.Expected}",
        P11SocketCause.MalformedReply,
        $"What {path} replies to {broken.Call} is not of the protocol's form: {broken.Found} stands at offset {broken.Offset}, where {broken.Expected} has to be. "
        + "The server is damaged, or something between changes what it says.",
        "Look for a newer p11-kit on the host, and connect without what is between.");

    internal Rung Pkcs11Error(Pkcs11ErrorException error) => new(
        $"{error.Function}: {error.Name}",
        P11SocketCause.Pkcs11Error,
        $"{error.Function} failed with {error.Name} on the far side. The module there, or the token, does not work.",
        "See whether it works on the host itself: `Get-Pkcs11Token`."
        + (name is null ? "" : $" What the module said: `{journalctl} -n 20 -u '{name}@*' -u {name}.service`."));

    internal Rung NoSlots() => endpoint.TargetUri is []
        ? NoTarget("no slot: there is no target")
        : new(
            "no slot with a token",
            P11SocketCause.NoSlots,
            "The server works and exposes no token. No token is plugged in that its target"
            + (endpoint.TargetUri is { } target ? $" ({string.Join(' ', target)})" : "") + " matches, or its user may not reach the reader.",
            "See what is plugged in: `Get-Pkcs11Token`."
            + (name is null ? "" : $" Then tell it: `Get-Pkcs11Token -Label LABEL | Set-P11TargetUri -Name {name}`."));

    internal Rung NotInitialized(int tokens) => new(
        $"{tokens} {(tokens == 1 ? "token" : "tokens")}, none initialised",
        P11SocketCause.TokenNotInitialized,
        $"No token behind {path} is initialised. Such a token has no label and no keys.",
        InitializeIt);

    internal static Rung TargetNotInitialized(Pkcs11Uri target) => new(
        "it is there and not initialised",
        P11SocketCause.TokenNotInitialized,
        $"The token that {target} asks for is not initialised. Such a token has no label and no keys: it is new, or was reset.",
        InitializeIt);

    internal Rung ExposesMore(string labels, IReadOnlyList<Pkcs11Token> stray) => new(
        $"{labels} besides, not asked for",
        P11SocketCause.ExposesMore,
        $"The server exposes {string.Join(", ", stray)}, which its target does not ask for. It was started with another target than the one that is written now.",
        $"Start it again: `{systemctl} restart {unit}`. If that token is meant to be there, see the target: `Get-P11TargetUri -Name {name}`.");

    /// <summary>A warning: a target may be meant to be wide.</summary>
    internal Rung SeveralMatches(Pkcs11Uri target, string labels, IReadOnlyList<Pkcs11Token> matches) => new(
        $"{labels}: one URI fits {matches.Count}",
        P11SocketCause.SeveralMatches,
        $"{target} fits {matches.Count} tokens: {string.Join(", ", matches)}. All of them are exposed, and an application that takes the first one it finds may take another after the next start.",
        $"If only one is meant: `Set-P11TargetUri -Name {name} -Uri '{matches[0]}'`.")
    {
        Status = P11SocketCheckStatus.Passed,
    };

    internal Rung TargetNotFound(Pkcs11Uri missing, TargetMismatch? nearest) => new(
        nearest is null ? "the target is not there" : $"'{nearest.Token.Label}' is there; {nearest.Difference}",
        P11SocketCause.TargetNotFound,
        $"No token matches {missing}." + (nearest is null ? " There is none that is initialised." : $" The nearest is {nearest.Token}: {nearest.Difference}."),
        $"If that token is the one: `Get-Pkcs11Token | Set-P11TargetUri -Name {name}`. If not, plug in the right one and test again.");

    const string InitializeIt = "Initialise it on the host: `p11tool --initialize --label LABEL URL`; the URL is that of `Get-Pkcs11Token -IncludeUninitialized`.";

    string Seconds() => $"{timeout.TotalSeconds:0.###} s";
}
