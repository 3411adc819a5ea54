using HsmRemote.Services.Containers;
using HsmRemote.Services.Native;

namespace HsmRemote.Services.Sockets;

/// <summary>Turns what was asked for into a uid, a gid and groups.</summary>
static class IdentityResolver
{
    internal static async Task<P11Identity> ResolveAsync(P11IdentityRequest request, CancellationToken cancellationToken) =>
        request.ContainerName is { } container
            ? OfProcess(await ContainerEngine.MainProcessAsync(container, cancellationToken)) with { ContainerName = container }
            : Resolve(request);

    internal static P11Identity Resolve(P11IdentityRequest request)
    {
        if (request.ProcessId is { } process)
            return OfProcess(process);
        if (request.UserName is { } name)
        {
            var user = Accounts.FindUser(name) ?? throw new HsmRemoteException(
                "UserNotFound", FailureKind.NotFound, $"There is no user '{name}' on this host.", "A user that is known in the container only is given by number: -Uid and -Gid.", name);
            var group = request.GroupId ?? user.GroupId;
            return new P11Identity(user.Id, group, Besides(group, request.SupplementaryGroupId ?? Accounts.GroupsOf(user)), user.Name);
        }

        if (request.UserId is { } id)
        {
            var group = request.GroupId ?? Accounts.FindUser(id)?.GroupId ?? throw new HsmRemoteException(
                "GroupIdRequired", FailureKind.InvalidArgument, $"No user of this host has the number {id}, so its group is not known.", "Give it with -Gid.", id);
            return new P11Identity(id, group, Besides(group, request.SupplementaryGroupId ?? []));
        }

        var own = request.GroupId ?? Accounts.getegid();
        return new P11Identity(Accounts.geteuid(), own, Besides(own, request.SupplementaryGroupId ?? Accounts.OwnGroups()));
    }

    static P11Identity OfProcess(int process)
    {
        var (user, group, groups) = ProcessView.Identity(process);
        return new P11Identity(user, group, Besides(group, groups), ProcessId: process);
    }

    static uint[] Besides(uint primary, IReadOnlyList<uint> groups) => [.. groups.Where(g => g != primary).Distinct().Order()];
}
