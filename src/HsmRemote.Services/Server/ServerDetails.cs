using HsmRemote.Services.Systemd;

namespace HsmRemote.Services.Server;

/// <summary>What is known of an instance and takes longer to find out.</summary>
static class ServerDetails
{
    const int LogLines = 10;

    internal static P11KitServer AddTo(P11KitServer server, ISystemdManager systemd, UnitProperties? socket, UnitProperties service, IReporter reporter)
    {
        using var step = new Step(reporter, $"Find out more of '{server.Name}': what it uses, what differs, what it said");
        var given = server.IsManaged ? SandboxRequest.Installed(new InstanceLayout(server.Name, server.Scope)) : null;
        var running = Running(server, systemd).Select(systemd.Load).OfType<UnitProperties>().ToList();
        return server with
        {
            MemoryBytes = Sum(running, "MemoryCurrent"),
            CpuTime = Sum(running, "CPUUsageNSec") is { } nanoseconds ? TimeSpan.FromMicroseconds(nanoseconds / 1000) : null,
            DropInPath = [.. (socket?.Texts("DropInPaths") ?? []).Concat(service.Texts("DropInPaths")).Distinct(StringComparer.Ordinal)],
            Drift = server.IsManaged ? Drift(server, systemd, reporter) : null,
            AllowPath = given?.Paths,
            AllowDevice = given?.Devices,
            Environment = given?.Environment,
            ServiceUser = given?.User,
            Log = UnitJournal.MayRead(server.Scope) ? ServerLog.Read(server, LogLines) : null,
        };
    }

    static IReadOnlyList<P11KitDrift>? Drift(P11KitServer server, ISystemdManager systemd, IReporter reporter)
    {
        try
        {
            return InstallPlanner.Drift(systemd, server);
        }
        catch (Exception e) when (e is HsmRemoteException or IOException or UnauthorizedAccessException)
        {
            reporter.Warning($"Whether the units of '{server.Name}' are as they should be is not known. {e.Message}");
            return null;
        }
    }

    /// <summary>The services that run: one for each connection, or the one.</summary>
    internal static IReadOnlyList<string> Running(P11KitServer server, ISystemdManager systemd) =>
        systemd.List(server.ServiceUnit.Replace("@.", "@*.", StringComparison.Ordinal));

    // systemd says "not set" where it does not account; a sum without one of its parts would be wrong.
    static ulong? Sum(List<UnitProperties> units, string property)
    {
        ulong sum = 0;
        foreach (var unit in units)
        {
            if (unit.Large(property) is not { } value)
                return null;
            sum += value;
        }

        return sum;
    }
}
