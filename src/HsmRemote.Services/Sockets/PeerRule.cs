using System.Globalization;
using HsmRemote.Services.Native;

namespace HsmRemote.Services.Sockets;

/// <summary>Whom a <c>p11-kit server</c> lets in besides what the file's permissions say: its -u and -g, compared with the peer's uid and primary gid.</summary>
sealed record PeerRule(uint? UserId, uint? GroupId)
{
    /// <summary>The rule in a command line; null when there is none.</summary>
    internal static PeerRule? Of(IReadOnlyList<string> command)
    {
        var user = Value(command, 'u', "--user") is { } userName ? Number(userName) ?? Accounts.FindUser(userName)?.Id : null;
        var group = Value(command, 'g', "--group") is { } groupName ? Number(groupName) ?? Accounts.FindGroup(groupName)?.Id : null;
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

    // -u NAME, -uNAME, --user NAME, --user=NAME: getopt_long(3).
    static string? Value(IReadOnlyList<string> command, char letter, string word)
    {
        for (var i = 0; i < command.Count; i++)
        {
            var argument = command[i];
            if (string.Equals(argument, $"-{letter}", StringComparison.Ordinal) || string.Equals(argument, word, StringComparison.Ordinal))
                return i + 1 < command.Count ? command[i + 1] : null;
            if (argument.StartsWith($"-{letter}", StringComparison.Ordinal))
                return argument[2..];
            if (argument.StartsWith($"{word}=", StringComparison.Ordinal))
                return argument[(word.Length + 1)..];
        }

        return null;
    }
}
