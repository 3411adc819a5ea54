using System.Runtime.InteropServices;
using HsmRemote.Services.Containers;
using HsmRemote.Services.Native;
using HsmRemote.Services.P11Kit;
using HsmRemote.Services.Systemd;

namespace HsmRemote.Services.Server;

/// <summary>Finds who is connected: every connection, in whatever mode, has a process of its own, whose standard input is the connection's socket.</summary>
static class ConnectionInventory
{
    // The program that serves a connection, whoever starts it; its first argument is another ("remote").
    const string ServingProgram = "p11-kit-remote";

    internal static async Task<IReadOnlyList<P11KitConnection>> ListAsync(P11KitServer server, IReporter reporter, CancellationToken cancellationToken)
    {
        List<P11KitConnection> connections = [];
        using var step = new Step(reporter, $"Look for who is connected to '{server.Name}'");
        using (var systemd = new SystemdManager(server.Scope))
        {
            foreach (var unit in ServerDetails.Running(server, systemd))
                connections.AddRange(systemd.Processes(unit).Select(process => Inspect(server, unit, process, reporter)).OfType<P11KitConnection>());
        }

        if (connections.Exists(connection => connection is { ContainerEngine: "docker", ContainerName: null }))
        {
            var names = await ContainerEngine.DockerNamesAsync(cancellationToken);
            connections = connections.ConvertAll(connection => connection is { ContainerName: null, ContainerId: { } id } ? connection with { ContainerName = names.GetValueOrDefault(id) } : connection);
        }

        step.Outcome = $"connections: {connections.Count}";
        return [.. connections.OrderBy(connection => connection.ServerStartTicks).ThenBy(connection => connection.ServerProcessId)];
    }

    /// <summary>How many connections a service of all connections serves; null when its processes are hidden from the caller.</summary>
    internal static uint? Count(ISystemdManager systemd, string service)
    {
        var names = systemd.Processes(service).Select(ProcessView.CommandName).ToList();
        return names.Count > 0 && names.TrueForAll(name => name is null) ? null : (uint)names.Count(name => name is ServingProgram);
    }

    /// <summary>The connection that a process serves; null when it serves none, or has ended meanwhile.</summary>
    static P11KitConnection? Inspect(P11KitServer server, string unit, int process, IReporter reporter)
    {
        if (ProcessView.CommandName(process) is not ServingProgram || ProcessView.StartTicks(process) is not { } started)
            return null;
        using var handle = ProcessHandle.TryOpen(process, started);
        if (handle is null)
            return null;
        var errno = handle.TryGetPeer(out var peer);
        if (errno is Errno.EPERM or Errno.EACCES)
        {
            throw new HsmRemoteException(
                "ConnectionsUnreadable", FailureKind.PermissionDenied, $"Who is connected to '{server.Name}' is not told to this user: it takes a look into the processes that serve.",
                "Run it as root, for example with sudo.", server.Name);
        }

        if (errno != 0)
        {
            reporter.Verbose($"{server.Name}: process {process} serves no socket ({Marshal.GetPInvokeErrorMessage(errno)})");
            return null;
        }

        // A process that was started after the connection only has the number of the one that connected.
        var isThere = ProcessView.StartTicks(peer.ProcessId) is { } since && since <= started;
        var container = isThere ? ContainerMembership.Of(peer.ProcessId) : null;
        return new P11KitConnection
        {
            Name = server.Name,
            Scope = server.Scope,
            ProcessId = peer.ProcessId,
            UserId = peer.UserId,
            GroupId = peer.GroupId,
            UserName = Accounts.FindUser(peer.UserId)?.Name,
            Command = isThere ? ProcessView.CommandName(peer.ProcessId) : null,
            ContainerEngine = container?.Engine,
            ContainerId = container?.Id,
            ContainerName = container?.Name,
            Since = ProcessView.StartTime(started),
            TargetUri = Target(process),
            ServerProcessId = process,
            ServerStartTicks = started,
            Unit = unit,
        };
    }

    static List<Pkcs11Uri> Target(int process)
    {
        var arguments = ProcessView.CommandLine(process);
        List<Pkcs11Uri> target = [];
        foreach (var operand in P11KitOptions.Parse(arguments).Operands)
        {
            if (arguments[operand] is not InstanceForm.NoToken && Pkcs11Uri.TryParse(arguments[operand], out var uri, out _))
                target.Add(uri);
        }

        return target;
    }
}
