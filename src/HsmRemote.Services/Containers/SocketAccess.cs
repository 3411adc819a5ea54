using HsmRemote.Services.Native;
using HsmRemote.Services.Systemd;

namespace HsmRemote.Services.Containers;

/// <summary>Who an instance lets in, with every name turned into a number of this host.</summary>
sealed record SocketAccess
{
    internal required string Name { get; init; }

    /// <summary>The unit that listens, for what has to be there before the container.</summary>
    internal required string Unit { get; init; }

    internal required string SocketPath { get; init; }

    internal required P11KitServerScope Scope { get; init; }

    internal required UnixFileMode Mode { get; init; }

    /// <summary>The directory, or null: it is not there to be looked at.</summary>
    internal SocketDirectory? Directory { get; init; }

    internal uint? OwnerId { get; init; }

    internal uint? GroupId { get; init; }

    /// <summary>The uid and primary gid that a peer has to have; null: any.</summary>
    internal uint? PeerUserId { get; init; }

    internal uint? PeerGroupId { get; init; }

    internal bool HasPeerCheck => PeerUserId is not null || PeerGroupId is not null;

    internal bool OthersMayConnect => (Mode & UnixFileMode.OtherWrite) != UnixFileMode.None;

    internal bool GroupMayConnect => (Mode & UnixFileMode.GroupWrite) != UnixFileMode.None;

    /// <summary>Whether a process with these ids of the host may connect.</summary>
    internal bool LetsIn(P11Identity peer) =>
        (peer.UserId == 0 || OthersMayConnect
            || (peer.UserId == OwnerId && (Mode & UnixFileMode.UserWrite) != UnixFileMode.None)
            || (GroupMayConnect && GroupId is { } group && (peer.GroupId == group || peer.SupplementaryGroupId.Contains(group))))
        && (PeerUserId is null || PeerUserId == peer.UserId) && (PeerGroupId is null || PeerGroupId == peer.GroupId);

    /// <summary>Mode and group, as messages have it.</summary>
    internal string Description => $"{Convert.ToString((int)Mode, 8).PadLeft(4, '0')}, group {GroupId?.ToString(System.Globalization.CultureInfo.InvariantCulture) ?? "not known"}";

    internal static SocketAccess Of(P11KitServer server)
    {
        var path = server.SocketPath ?? throw new HsmRemoteException(
            "SocketUnknown", FailureKind.InvalidOperation, $"The units of '{server.Name}' do not say where it listens ({server.UnitPath}).",
            "Install an instance with Install-P11KitServer, whose units do.", server.Name);
        var access = new SocketAccess
        {
            Name = server.Name,
            Unit = server.Unit,
            SocketPath = path,
            Scope = server.Scope,
            Mode = UnixFileMode.None,
            Directory = SocketDirectory.Of(Path.GetDirectoryName(path)!),
            PeerUserId = PeerUser(server),
            PeerGroupId = PeerGroup(server),
        };
        if (server.SocketMode is { } mode)
        {
            return access with
            {
                Mode = (UnixFileMode)Convert.ToInt32(mode, 8),
                OwnerId = server.SocketUser is { } user ? UserId(user) : null,
                GroupId = server.GroupId,
            };
        }

        // The server decides: what it has decided is seen on the socket.
        if (FileStatus.TryRead(path, out var status) == 0 && status.IsSocket)
            return access with { Mode = status.Permissions, OwnerId = status.UserId, GroupId = status.GroupId };
        throw new HsmRemoteException(
            "SocketAccessUnknown", FailureKind.InvalidOperation,
            $"The units of '{server.Name}' do not say who may connect, and there is no socket at {path} that would show it.",
            $"Start it: `{SystemdTools.Systemctl(server.Scope)} start {server.Unit}`.", server.Name);
    }

    static uint? PeerUser(P11KitServer server) => server.PeerUser is { } user ? UserId(user) ?? throw NoSuchPeer(server, "user", user) : null;

    static uint? PeerGroup(P11KitServer server) => server.PeerGroup is { } group
        ? uint.TryParse(group, out var id) ? id : Accounts.FindGroup(group)?.Id ?? throw NoSuchPeer(server, "group", group)
        : null;

    static uint? UserId(string user) => uint.TryParse(user, out var id) ? id : Accounts.FindUser(user)?.Id;

    static HsmRemoteException NoSuchPeer(P11KitServer server, string what, string name) => new(
        "PeerCheckExcludes", FailureKind.InvalidOperation, $"'{server.Name}' lets in only the {what} '{name}', which this host does not have, so that nobody gets in.",
        "Mend its units, or install an instance with Install-P11KitServer, where the socket's permissions decide.", server.Name);
}

/// <summary>The directory of a socket, which a container gets.</summary>
/// <param name="Description">Its mode and owner, as messages have it.</param>
/// <param name="LetsIn">Whether a process with these ids of the host gets to the socket in it. The directories above do not matter to a mount.</param>
sealed record SocketDirectory(string Description, Func<P11Identity, bool> LetsIn)
{
    internal static SocketDirectory? Of(string path)
    {
        if (FileStatus.TryRead(path, out var status) != 0 || !status.IsDirectory)
            return null;
        var acl = PosixAcl.Of(path, status);
        return new(status.Describe(), identity => acl.Allows(identity, status, PosixAcl.Search));
    }
}
