using HsmRemote.Services.Native;
using HsmRemote.Services.P11Kit;
using HsmRemote.Services.Server;
using HsmRemote.Services.Systemd;

namespace HsmRemote.Services.Sockets;

/// <summary>What was seen on the way to a failure.</summary>
/// <param name="StartedAt">When the test began.</param>
/// <param name="Timeout">How long it may take.</param>
/// <param name="RealPath">The path without symbolic links, as the identity sees it; empty before it was found.</param>
/// <param name="Status">The file there.</param>
/// <param name="ListenerProcess">Who listens, when it was connected to.</param>
sealed record Evidence(DateTimeOffset StartedAt, TimeSpan Timeout, string RealPath, FileStatus Status, int? ListenerProcess);

/// <summary>Finds the cause behind a failure in what the host knows of the instance: its units, its listener, its journal, p11-kit's configuration.</summary>
sealed class HostDiagnosis(Rung seen, P11SocketEndpoint endpoint, P11Identity identity, Evidence evidence, ISystemdManager systemd)
{
    // A test that is silent to its end is given this much beyond it.
    static readonly TimeSpan Patience = TimeSpan.FromMilliseconds(450);
    static readonly TimeSpan JournalPause = TimeSpan.FromMilliseconds(40);
    const int JournalLines = 10;

    /// <summary>The same failure, with the cause that the host knows where it knows one.</summary>
    internal static async Task<Rung> RefineAsync(Rung seen, P11SocketEndpoint endpoint, P11Identity identity, Evidence evidence, CancellationToken cancellationToken)
    {
        // The others are plain from where the identity stands.
        if (seen.Cause is not (P11SocketCause.NobodyListening or P11SocketCause.NeverAccepted or P11SocketCause.ClosedByPeer or P11SocketCause.Silent
            or P11SocketCause.ConnectionLost or P11SocketCause.Pkcs11Error or P11SocketCause.NoSlots or P11SocketCause.NoTarget
            or P11SocketCause.PathMissing))
        {
            return seen;
        }

        // A listener in this very process is no server that the host knows more of.
        if (evidence.ListenerProcess == Environment.ProcessId)
            return seen;
        var left = evidence.StartedAt + evidence.Timeout - DateTimeOffset.UtcNow;
        try
        {
            return await Task.Run(() => Refine(seen, endpoint, identity, evidence), cancellationToken)
                .WaitAsync((left > TimeSpan.Zero ? left : TimeSpan.Zero) + Patience, cancellationToken);
        }
        catch (Exception e) when (e is HsmRemoteException or TimeoutException or IOException or UnauthorizedAccessException)
        {
            // No systemd, or one that is busy: what was seen is true all the same.
            return seen;
        }
    }

    static Rung Refine(Rung seen, P11SocketEndpoint endpoint, P11Identity identity, Evidence evidence)
    {
        // The listener's own command line needs no systemd.
        if (seen.Cause == P11SocketCause.ClosedByPeer && evidence.ListenerProcess is { } listener
            && IsServer(listener) && PeerRule.Of(ProcessView.CommandLine(listener)) is { } rule && rule.Refuses(identity))
        {
            return HostCauses.PeerRefused(rule, identity);
        }

        using var managers = new SystemdManagers();
        return SocketInstance.Find(managers, endpoint, identity, evidence.RealPath) is { } server
            ? new HostDiagnosis(seen, endpoint, identity, evidence, managers[server.Scope]).Refine(server)
            : seen;
    }

    Rung Refine(P11KitServer server)
    {
        var causes = new HostCauses(server, endpoint, identity);
        var unit = ServerInventory.LoadService(systemd, server.ServiceUnit);
        if (MayBeLoop(server) && ClientLoop.Find(server, unit) is { } loop)
            return HostCauses.ClientLoop(seen, loop.Module, loop.How);

        switch (seen.Cause)
        {
            case P11SocketCause.PathMissing:
                return OtherFile(server) is null ? seen : causes.NotMounted(seen);
            case P11SocketCause.NobodyListening or P11SocketCause.NeverAccepted or P11SocketCause.Silent when OtherFile(server) is { } own:
                return causes.StaleBindMount(evidence.Status.Inode, own.Inode);
            case P11SocketCause.NobodyListening:
                return server.State == P11KitServerState.Listening ? causes.StaleSocketFile() : causes.NotStarted(seen);
            case P11SocketCause.ClosedByPeer:
                if (PeerRule.Of(server.PeerUser, server.PeerGroup) is { } rule && rule.Refuses(identity))
                    return HostCauses.PeerRefused(rule, identity);
                return Journal(server) is { Count: > 0 } journal ? causes.RemoteFailed(seen, journal) : seen;
            case P11SocketCause.NoTarget when !HasReadableTarget(server):
                return Journal(server) is { Count: > 0 } said ? causes.RemoteFailed(seen, said) : seen;
            default:
                return seen;
        }
    }

    /// <summary>A loop fills every limit that there is, and systemd may have stopped the socket for it.</summary>
    bool MayBeLoop(P11KitServer server) => seen.Cause switch
    {
        P11SocketCause.PathMissing or P11SocketCause.NoTarget => false,
        P11SocketCause.NobodyListening => server.State == P11KitServerState.Failed,
        _ => true,
    };

    /// <summary>No target is not the same as one that cannot be read.</summary>
    static bool HasReadableTarget(P11KitServer server)
    {
        if (server.ConfigPath is null)
            return true;
        try
        {
            var file = TargetFile.Read(server.Name, server.ConfigPath);
            _ = file.Uris();
            return file.Exists;
        }
        catch (HsmRemoteException)
        {
            return false;
        }
    }

    /// <summary>The file that the host has at the instance's path, where a process sees another one.</summary>
    FileStatus? OtherFile(P11KitServer server) =>
        identity.ProcessId is not null && server.SocketPath is { } path && FileStatus.TryRead(path, out var own) == 0 && own.IsSocket && !own.IsSameFileAs(evidence.Status)
            ? own
            : null;

    /// <summary>What was written for this connection: it comes a moment after the connection is closed.</summary>
    IReadOnlyList<string> Journal(P11KitServer server)
    {
        var layout = new InstanceLayout(server.Name, server.Scope);
        var query = new JournalQuery(IsOurs, JournalLines)
        {
            Units = [server.ServiceUnit],
            Slice = layout.ConnectionSlice,
            UserId = layout.UserId,
            Since = evidence.StartedAt,
            // A mere start or end says nothing.
            SystemdPriority = UnitJournal.Notice,
        };
        IReadOnlyList<string> lines = [];
        // What the program and what systemd wrote come one after the other.
        for (int i = 0, same = 0; i < 50 && same < 2; i++)
        {
            var last = lines.Count;
            lines = [.. UnitJournal.Read(query).Select(line => line.Message)];
            same = last > 0 && lines.Count == last ? same + 1 : 0;
            Thread.Sleep(JournalPause);
        }

        return lines;

        bool IsOurs(string unit) =>
            string.Equals(unit, server.ServiceUnit, StringComparison.Ordinal)
            || (unit.StartsWith($"{server.Name}@", StringComparison.Ordinal) && ServerLog.Peer(unit) == (Environment.ProcessId, identity.UserId));
    }

    // Not by its first argument: p11-kit runs it as "server".
    static bool IsServer(int process) => ProcessView.CommandName(process) is "p11-kit-server";
}
