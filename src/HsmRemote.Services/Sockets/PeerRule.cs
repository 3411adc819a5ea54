using System.Globalization;
using HsmRemote.Services.Native;
using HsmRemote.Services.P11Kit;

namespace HsmRemote.Services.Sockets;

/// <summary>Whom a <c>p11-kit server</c> lets in besides what the file's permissions say: its -u and -g, compared with the peer's uid and primary gid.</summary>
sealed record PeerRule(uint? UserId, uint? GroupId)
{
    /// <summary>The rule in a command line; null when there is none.</summary>
    internal static PeerRule? Of(IReadOnlyList<string> command) =>
        P11KitOptions.Parse(command) is { User: var user, Group: var group } ? Of(user, group) : null;

    /// <summary>The rule of the values of -u and -g, names or numbers; null when there is none.</summary>
    internal static PeerRule? Of(string? userName, string? groupName)
    {
        var user = userName is null ? null : Number(userName) ?? Accounts.FindUser(userName)?.Id;
        var group = groupName is null ? null : Number(groupName) ?? Accounts.FindGroup(groupName)?.Id;
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
