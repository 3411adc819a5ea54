using HsmRemote.Services.Containers;
using HsmRemote.Services.Systemd;

namespace HsmRemote.Services.Sockets;

/// <summary>The causes that only the host knows, in words: what was seen, what is wrong and why, and what to do.</summary>
sealed class HostCauses(P11KitServer server, P11SocketEndpoint endpoint, P11Identity identity)
{
    readonly string systemctl = SystemdTools.Systemctl(server.Scope);

    internal Rung NotStarted(Rung seen) => seen with
    {
        Explanation = $"The file {endpoint.SocketPath} is there and nobody listens on it: {server.Unit} is not started ({server.State}). It was left behind by a server that was killed.",
        Remedy = $"Start it: `{systemctl} start {server.Unit}`." + (server.State == P11KitServerState.Failed ? $" Why it failed: `{systemctl} status {server.Unit}`." : ""),
    };

    internal Rung StaleSocketFile() => new(
        "connection refused: not the file that the instance listens on",
        P11SocketCause.StaleSocketFile,
        $"{server.Unit} is started and listens, and the file {endpoint.SocketPath} is not the one that it made. Something has put another file in its place since: a second server, or a copy.",
        $"Have it made anew: `{systemctl} restart {server.Unit}`. See who else uses the path: `ss -xlp src {ShellWord.Quote(endpoint.SocketPath)}`.");

    internal Rung StaleBindMount(ulong seen, ulong own) => new(
        $"it sees inode {seen}; {server.Name} listens on inode {own}",
        P11SocketCause.StaleBindMount,
        $"{Subject} sees a file at {endpoint.SocketPath} that {server.Name} no longer listens on: the host has made another since. "
        + "A bind mount of the socket's file keeps the file that was there when it was mounted, and a restart of the server makes a new one.",
        $"Mount the directory, which goes on over restarts: `--volume {Directory}:{Path.GetDirectoryName(endpoint.SocketPath)}`. Until then, restart the container"
        + (identity.ContainerName is { } container ? $": `podman restart {container}`, or docker's." : "."));

    internal static Rung PeerRefused(PeerRule rule, P11Identity identity) => new(
        $"closed: it wants {rule}",
        P11SocketCause.PeerRefused,
        $"The server wants {rule}, and closed the connection of {identity}. "
        + "`p11-kit server -u` and `-g` compare the peer's uid and its primary gid exactly: supplementary groups do not count, and root is no exception.",
        $"Run the client as that: `--user {rule.UserId ?? identity.UserId}:{rule.GroupId ?? identity.GroupId}`. "
        + "Or leave -u and -g out of the server's command line, and let the socket's group decide: `Install-P11KitServer -Name NAME -Group GROUP`.");

    internal Rung RemoteFailed(Rung seen, IReadOnlyList<string> journal)
    {
        // systemd's own lines, which name the unit, mostly say only that it ended.
        var said = journal.FirstOrDefault(line => !line.Contains($"{server.Name}@", StringComparison.Ordinal)) ?? journal[0];
        return seen with
        {
            Cause = P11SocketCause.RemoteFailed,
            Detail = $"closed before its first byte: {said}",
            Explanation = $"The process that {server.Name} started for this connection ended before its first byte. The journal has, for it: {said}",
            Remedy = $"Mend what it complains of: its target with `Get-P11TargetUri -Name {server.Name}`, its unit with `{systemctl} cat {server.Unit}`.",
            Journal = journal,
        };
    }

    internal Rung NotMounted(Rung seen) => seen with
    {
        Explanation = $"{Subject} sees nothing at {endpoint.SocketPath}, and the host has the socket of {server.Name} there. Its directory is not mounted there.",
        Remedy = $"Mount the directory: `--volume {Directory}:{Directory}`.",
    };

    internal static Rung ClientLoop(Rung seen, string module, string how) => seen with
    {
        Cause = P11SocketCause.ClientLoop,
        Explanation = $"The server connects to itself: this host's p11-kit has the module '{module}', {how}. "
            + "Each process that serves a connection loads the modules of the host, so that it opens another connection, without end.",
        Remedy = $"Keep that module out of the server: add `disable-in: remote, p11-kit-remote` to {module}.module in /etc/pkcs11/modules"
            + $" (`echo 'disable-in: remote, p11-kit-remote' >> /etc/pkcs11/modules/{module}.module`).",
    };

    /// <summary>What an ACL's mask has to do with a permission that is missing, and whether anything was tried.</summary>
    internal static Rung WithAcl(Rung notWritable, string? masked, string path, string computedOnly) => notWritable with
    {
        Detail = notWritable.Detail + (masked is null ? "" : $": {masked}") + computedOnly,
        Explanation = masked is null ? notWritable.Explanation : $"{notWritable.Explanation} {char.ToUpperInvariant(masked[0])}{masked[1..]}.",
        Remedy = masked is null ? notWritable.Remedy : $"Widen the mask: `setfacl -m m::rw {path}`.",
    };

    string Directory => Path.GetDirectoryName(server.SocketPath) ?? "/";

    string Subject => identity.ContainerName is { } container ? $"The container {container}" : $"The process {identity.ProcessId}";
}
