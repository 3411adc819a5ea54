using HsmRemote.Services.Plan;
using HsmRemote.Services.Systemd;

namespace HsmRemote.Services.Server;

/// <summary>What starts, stops and restarts an instance, in each of its forms: a socket, a daemon, a daemon behind a socket.</summary>
sealed class RunPlanner(ISystemdManager systemd, P11KitServer server)
{
    bool HasSocket => !string.Equals(server.Unit, server.ServiceUnit, StringComparison.Ordinal);

    bool IsTemplate => server.Mode == P11KitServerMode.PerConnection;

    /// <summary>A daemon is started with its socket: one without activation makes a socket of its own, and who came before it would wait for ever.</summary>
    internal IChangePlan Start()
    {
        List<PlanStep> steps = [];
        // systemd starts no socket whose daemon runs already.
        if (IsTemplate || !IsActive(server.ServiceUnit))
        {
            if (HasSocket && !IsActive(server.Unit))
                steps.Add(UnitStep.Start(systemd, server.Unit));
            if (!IsTemplate)
                steps.Add(UnitStep.Start(systemd, server.ServiceUnit));
        }

        return Plan(steps);
    }

    /// <summary>The socket goes first, so that nobody connects in between.</summary>
    internal IChangePlan Stop()
    {
        List<PlanStep> steps = [];
        if (HasSocket && IsActive(server.Unit))
            steps.Add(UnitStep.Stop(systemd, server.Unit));
        if (IsTemplate)
            AddConnections(steps);
        else if (IsActive(server.ServiceUnit))
            steps.Add(UnitStep.Stop(systemd, server.ServiceUnit));
        return Plan(steps);
    }

    internal IChangePlan Restart() => Plan(RestartSteps());

    internal List<PlanStep> RestartSteps()
    {
        List<PlanStep> steps = [];
        if (!HasSocket)
            steps.Add(UnitStep.Restart(systemd, server.ServiceUnit));
        else if (IsTemplate)
        {
            if (IsActive(server.Unit))
                steps.Add(UnitStep.Stop(systemd, server.Unit));
            AddConnections(steps);
            steps.Add(UnitStep.Start(systemd, server.Unit));
        }
        else
        {
            if (IsActive(server.ServiceUnit))
                steps.Add(UnitStep.Stop(systemd, server.ServiceUnit));
            steps.Add(UnitStep.Restart(systemd, server.Unit));
            steps.Add(UnitStep.Start(systemd, server.ServiceUnit));
        }

        return steps;
    }

    /// <summary>The connections outlive their socket.</summary>
    void AddConnections(List<PlanStep> steps)
    {
        var pattern = new InstanceLayout(server.Name, server.Scope).ConnectionPattern;
        if (systemd.List(pattern) is { Count: > 0 } connections)
            steps.Add(UnitStep.StopConnections(systemd, pattern, connections.Count));
    }

    bool IsActive(string unit) => systemd.Load(unit)?.Text("ActiveState") is not (null or "inactive" or "failed");

    ChangePlan Plan(List<PlanStep> steps) => new(server.Name, steps, systemd);
}
