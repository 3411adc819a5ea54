using HsmRemote.Services.Native;
using HsmRemote.Services.Sockets;

namespace HsmRemote.Services.Server;

/// <summary>Who a service is to the files that it needs. Root in the sandbox has no capabilities, so modes and groups count for it too.</summary>
static class ServiceAccount
{
    /// <summary>The groups that it needs besides its own to use what it is let to, such as tss for a TPM: each by its name.</summary>
    /// <param name="user">The account; null: root.</param>
    /// <param name="paths">Stores and devices.</param>
    internal static IReadOnlyList<string> Groups(string? user, IEnumerable<string> paths)
    {
        var identity = Identity(user);
        SortedSet<string> groups = new(StringComparer.Ordinal);
        foreach (var path in paths)
        {
            if (FileStatus.TryRead(path, out var status) != 0 || status.UserId == identity.UserId || status.GroupId is 0
                || status.GroupId == identity.GroupId || identity.SupplementaryGroupId.Contains(status.GroupId))
                continue;
            const UnixFileMode Needed = UnixFileMode.GroupRead | UnixFileMode.GroupWrite;
            if (status.Permissions.HasFlag(Needed) && !status.Permissions.HasFlag(UnixFileMode.OtherWrite)
                && Accounts.FindGroup(status.GroupId) is { } group)
                groups.Add(group.Name);
        }

        return [.. groups];
    }

    /// <summary>Refuses an account that could not use a store: its modules would show no tokens, and not say why.</summary>
    /// <exception cref="HsmRemoteException">It may not write there.</exception>
    internal static void CheckStores(string user, IReadOnlyList<string> groups, IEnumerable<string> stores, IReporter reporter)
    {
        var own = Identity(user);
        var identity = own with { SupplementaryGroupId = [.. own.SupplementaryGroupId, .. groups.Select(name => Accounts.FindGroup(name)!.Id)] };
        var access = new ComputedAccess(identity);
        foreach (var store in stores)
        {
            switch (SocketPathWalk.Walk(access, store))
            {
                case PathWalkResult.Barred barred:
                    throw Denied(user, store, $"it may not search {barred.Directory}");
                case PathWalkResult.Found found when access.CanWrite(found.RealPath) == Errno.EACCES:
                    throw Denied(user, store, "it may not write there");
                case PathWalkResult.Found { Status.IsDirectory: true } found when Directory.Exists(found.RealPath):
                    WarnOfOthers(user, found.RealPath, access, reporter);
                    break;
            }
        }
    }

    // SoftHSM has a directory for each token, its creator's.
    static void WarnOfOthers(string user, string store, ComputedAccess access, IReporter reporter)
    {
        var barred = Directory.EnumerateDirectories(store).Count(directory => access.CanWrite(directory) == Errno.EACCES);
        if (barred > 0)
            reporter.Warning($"{barred} of the tokens in {store} will not be seen: their files are not {user}'s. To give them to it: chown -R {user} {store}/*.");
    }

    static P11Identity Identity(string? user) => IdentityResolver.Resolve(
        user is null ? new P11IdentityRequest { UserId = 0, GroupId = 0 } : new P11IdentityRequest { UserName = user });

    static HsmRemoteException Denied(string user, string store, string why) => new(
        "ServiceUserDenied", FailureKind.PermissionDenied, $"The service cannot run as '{user}': its modules keep tokens in {store}, and {why}.",
        $"Give it the directory ('chown -R {user} {store}'), or use -ServiceUser root.", store);
}
