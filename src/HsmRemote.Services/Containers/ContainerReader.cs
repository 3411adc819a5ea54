using System.Text.Json;
using HsmRemote.Services.Native;
using HsmRemote.Services.Server;
using HsmRemote.Services.Sockets;
using HsmRemote.Services.Systemd;

namespace HsmRemote.Services.Containers;

/// <summary>Reads a container back, and compares what it has with what it needs.</summary>
static class ContainerReader
{
    internal static async Task<P11ContainerConfig> ReadAsync(string container, string? serverName, IReporter reporter, CancellationToken cancellationToken)
    {
        var (program, inspected) = await InspectAsync(container, reporter, cancellationToken);
        using var managers = new SystemdManagers();
        var servers = ServerInventory.List(managers, reporter);
        var has = ContainerState.Of(inspected);
        has = has with { Mounts = [.. has.Mounts.Select(mount => Known(mount, servers))] };
        var server = FindServer(container, serverName, has, servers);
        var request = new P11ContainerRequest
        {
            Engine = program is "docker" ? P11ContainerEngine.Docker : P11ContainerEngine.Podman,
            Image = has.Image,
            UserNamespace = has.UserNamespace,
        };
        var facts = await EngineFacts.DetectAsync(request, reporter, cancellationToken);
        // What podman's configuration says is for the next container: this one has what it has.
        if (program is "podman")
            facts = facts with { UserNamespace = has.UserNamespace };
        var user = ContainerUser.Parse(has.User is "" ? "0" : has.User);
        P11Identity? process = null;
        if (has.ProcessId > 0)
        {
            var (id, group, groups) = ProcessView.Identity(has.ProcessId);
            process = new(id, group, groups);
            // A name is the image's: which number it has is seen on the process.
            if (user.Id is null && !facts.Rootless && !facts.HasUserNamespace)
                user = user with { Id = id, GroupId = group };
        }

        return Compare(container, has, SocketAccess.Of(server), facts, request, user, process);
    }

    static async Task<(string Program, JsonElement Container)> InspectAsync(string container, IReporter reporter, CancellationToken cancellationToken)
    {
        using var step = new Step(reporter, $"Ask for the container '{container}'");
        return await ContainerEngine.InspectAsync(container, cancellationToken);
    }

    /// <summary>What the container has, with where that is not what it needs.</summary>
    internal static P11ContainerConfig Compare(
        string container, ContainerState has, SocketAccess socket, EngineFacts facts, P11ContainerRequest request, ContainerUser user, P11Identity? process)
    {
        List<P11ContainerDifference> differences = [];
        var needs = Needs(has, socket, facts, request, user, differences);
        var address = has.Environment.GetValueOrDefault(ProcessAddress.Variable);
        var seen = address is null ? null : ProcessAddress.Decode(address);
        var mount = MountDifference(has, needs, seen, differences);
        // However it came to its ids: an image may know the group, or the user as a member, and podman does not tell of keep-id.
        var isLetIn = process is not null && socket.LetsIn(process);
        if (!string.Equals(seen, needs.SocketPath, StringComparison.Ordinal) && !has.LeadsTo(seen, needs.SocketPath))
            differences.Add(new("Environment", address is null ? null : $"{ProcessAddress.Variable}={address}", $"{ProcessAddress.Variable}={needs.Environment[ProcessAddress.Variable]}", "Programs look for the token elsewhere, and see no slots."));
        if (needs.SupplementaryGroup is { } group && !isLetIn && !has.Groups.Contains(group, StringComparer.Ordinal))
            differences.Add(new("Group", has.Groups.Count == 0 ? null : string.Join(", ", has.Groups), group, "The user may not write to the socket, and sees no slots."));
        if (needs.UserNamespace is { } userNamespace && userNamespace is not "host" && !isLetIn && !string.Equals(userNamespace, has.UserNamespace, StringComparison.Ordinal))
            differences.Add(new("UserNamespace", has.UserNamespace, userNamespace, "The container's user is nobody who may connect."));
        if (needs.SecurityLabel is { } label && !has.SecurityOptions.Any(o => string.Equals(o.Replace(':', '='), label, StringComparison.Ordinal)) && !has.IsPrivileged)
            differences.Add(new("SecurityLabel", has.SecurityOptions.Count == 0 ? null : string.Join(", ", has.SecurityOptions), label, "SELinux forbids the connection."));

        return needs with
        {
            Container = container,
            User = has.User is "" ? null : has.User,
            Mount = mount,
            // Only what is the token's: the rest is the application's, and may be secret.
            Environment = address is null ? new Dictionary<string, string>(StringComparer.Ordinal) : new(StringComparer.Ordinal) { [ProcessAddress.Variable] = address },
            SupplementaryGroup = has.Groups.Count == 0 ? null : string.Join(", ", has.Groups),
            UserNamespace = has.UserNamespace,
            SecurityLabel = has.SecurityOptions.Count == 0 ? null : string.Join(", ", has.SecurityOptions),
            Differences = differences,
            Arguments = RunArguments.Write(needs),
            Text = ShellWord.Join(RunArguments.Write(needs)),
        };
    }

    /// <summary>What it needs; where it cannot work as it is, that is what differs, and the rest is compared as for one that can.</summary>
    static P11ContainerConfig Needs(
        ContainerState has, SocketAccess socket, EngineFacts facts, P11ContainerRequest request, ContainerUser user, List<P11ContainerDifference> differences)
    {
        try
        {
            return ContainerNeeds.Compute(socket, facts, request, user);
        }
        catch (HsmRemoteException e) when (e.ErrorId is "UserNamespaceHidesGroup")
        {
            differences.Add(new("UserNamespace", facts.UserNamespace, "host", e.Failure));
            return Needs(has, socket, facts with { UserNamespace = "host" }, request, user, differences);
        }
        catch (HsmRemoteException e) when (e.ErrorId is "SocketDirectoryClosed")
        {
            differences.Add(new("Mount", socket.Directory!.Description, "a directory that lets the user in", $"{e.Failure} {e.Remedy}"));
            return Needs(has, socket with { Directory = null }, facts, request, user, differences);
        }
        catch (HsmRemoteException e)
        {
            differences.Add(new("User", has.User is "" ? "root" : has.User, "another", $"{e.Failure} {e.Remedy}"));
            return ContainerNeeds.Compute(
                socket with { PeerUserId = null, PeerGroupId = null, Mode = socket.Mode | UnixFileMode.OtherWrite, Directory = null },
                facts with { Rootless = false, UserNamespace = null }, request, ContainerUser.Parse("0"));
        }
    }

    static P11ContainerMount MountDifference(ContainerState has, P11ContainerConfig needs, string? seen, List<P11ContainerDifference> differences)
    {
        if (has.Mounts.Where(m => string.Equals(m.Source, needs.Mount.Source, StringComparison.Ordinal))
            .OrderByDescending(m => string.Equals(m.Target, needs.Mount.Target, StringComparison.Ordinal)).FirstOrDefault() is { } directory)
        {
            if (!string.Equals(directory.Target, needs.Mount.Target, StringComparison.Ordinal) && !has.LeadsTo(seen, needs.SocketPath))
                differences.Add(new("Mount", $"{directory}", $"{needs.Mount}", $"In the container the directory is where {ProcessAddress.Variable} does not look."));
            return directory;
        }

        var above = has.Mounts.FirstOrDefault(m => needs.SocketPath.StartsWith(m.Source.TrimEnd('/') + "/", StringComparison.Ordinal));
        if (has.Mounts.FirstOrDefault(m => string.Equals(m.Source, needs.SocketPath, StringComparison.Ordinal)) is { } file)
        {
            differences.Add(new("Mount", $"{file}", $"{needs.Mount}", "The socket itself is mounted: when the server starts again it makes another, and the container keeps the old one."));
            return file;
        }

        if (above is not null)
        {
            differences.Add(new("Mount", $"{above}", $"{needs.Mount}", "The container gets more of the host than the directory of the socket."));
            return above;
        }

        differences.Add(new("Mount", null, $"{needs.Mount}", "The socket is not in the container."));
        return needs.Mount;
    }

    /// <summary>A mount by the path that an instance has for it: a volume, or a path with a link in it, may lead to the same directory.</summary>
    static P11ContainerMount Known(P11ContainerMount mount, IReadOnlyList<P11KitServer> servers) =>
        FileStatus.TryRead(mount.Source, out var status) != 0 ? mount : mount with
        {
            Source = servers.Select(s => s.SocketPath).OfType<string>()
                .SelectMany(socket => (string[])[socket, Path.GetDirectoryName(socket)!])
                .FirstOrDefault(path => FileStatus.TryRead(path, out var known) == 0 && known.IsSameFileAs(status)) ?? mount.Source,
        };

    static P11KitServer FindServer(string container, string? name, ContainerState has, IReadOnlyList<P11KitServer> servers)
    {
        // The machine and the caller may each have one of a name: the one that the container leads to is meant.
        if (name is not null)
        {
            servers = [.. servers.Where(s => string.Equals(s.Name, name, StringComparison.Ordinal))];
            if (servers.Count == 0)
                throw new HsmRemoteException("ServerNotFound", FailureKind.NotFound, $"There is no p11-kit server '{name}' on this host.", "Get-P11KitServer lists those that are there.", name);
        }

        var wanted = has.Environment.TryGetValue(ProcessAddress.Variable, out var address) && ProcessAddress.Decode(address) is { } path ? has.OnHost(path) : null;
        return servers.FirstOrDefault(s => s.SocketPath is not null && string.Equals(s.SocketPath, wanted, StringComparison.Ordinal))
            ?? servers.FirstOrDefault(s => s.SocketPath is { } own && has.Mounts.Any(m =>
                string.Equals(m.Source, own, StringComparison.Ordinal)
                // All of /run leads to no one server.
                || (string.Equals(m.Source, Path.GetDirectoryName(own), StringComparison.Ordinal) && !ContainerNeeds.IsShared(m.Source))))
            ?? (name is not null ? servers[0] : null)
            ?? throw new HsmRemoteException(
                "ContainerWithoutServer", FailureKind.NotFound,
                $"Nothing in the container '{container}' leads to an instance: {(address is null ? $"it has no {ProcessAddress.Variable}" : $"{ProcessAddress.Variable}={address} is none's")}, and it mounts no instance's directory.",
                "Say which it should use, with -Name, and see what it lacks.", container);
    }
}
