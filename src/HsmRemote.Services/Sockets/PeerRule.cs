using System.Globalization;
using HsmRemote.Services.Native;
using HsmRemote.Services.Server;

namespace HsmRemote.Services.Sockets;

/// <summary>Whom a <c>p11-kit server</c> lets in besides what the file's permissions say: its -u and -g, compared with the peer's uid and primary gid.</summary>
sealed record PeerRule(uint? UserId, uint? GroupId)
{
    /// <summary>The rule in a command line; null when there is none.</summary>
    internal static PeerRule? Of(IReadOnlyList<string> command)
    {
        var user = CommandOption.Value(command, 'u', "--user") is { } userName ? Number(userName) ?? Accounts.FindUser(userName)?.Id : null;
        var group = CommandOption.Value(command, 'g', "--group") is { } groupName ? Number(groupName) ?? Accounts.FindGroup(groupName)?.Id : null;
        return user is null && group is null ? null : new(user, group);
    }

    internal bool Refuses(P11Identity identity) => (UserId ?? identity.UserId) != identity.UserId || (GroupId ?? identity.GroupId) != identity.GroupId;

    public override string ToString() => string.Join(
        " and ",
        new[]
        {
            UserId is { } user ? $"uid {user} ({Accounts.FindUser(user)?.Name ?? "?"})" : null,
            GroupId is { } group ? $"primary gid {group} ({Accounts.FindGroup(group)?.Name ?? "?"})" : null,
        }.OfType<string>());

    static uint? Number(string text) => uint.TryParse(text, CultureInfo.InvariantCulture, out var number) ? number : null;
}
