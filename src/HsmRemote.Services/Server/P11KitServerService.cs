using HsmRemote.Services.Native;
using HsmRemote.Services.Plan;
using HsmRemote.Services.Systemd;

namespace HsmRemote.Services.Server;

/// <summary>Instances: what is there, and the plans that change it.</summary>
sealed class P11KitServerService : IP11KitServerService
{
    public void RequireRoot()
    {
        if (Accounts.geteuid() != 0)
        {
            throw new HsmRemoteException(
                "RootRequired", FailureKind.PermissionDenied, "Changing system units needs root; nothing has been changed.",
                "Run it as root, for example with sudo.", "system units");
        }
    }

    public IReadOnlyList<P11KitServer> Get(IReporter reporter, bool detailed = false)
    {
        using var systemd = new SystemdManager();
        return ServerInventory.List(systemd, reporter, detailed);
    }

    public P11KitServer Find(string name, IReporter reporter, bool detailed = false)
    {
        using var systemd = new SystemdManager();
        return Find(systemd, name, reporter, detailed);
    }

    public IReadOnlyList<P11KitLogEntry> Log(P11KitServer server, int count, IReporter reporter)
    {
        if (!UnitJournal.MayRead())
        {
            reporter.Warning(
                "The system's journal may not be read by this user, so what the servers wrote to it is not shown. "
                + "Run it as root, or have root add the user to the group systemd-journal: usermod -aG systemd-journal USER.");
        }

        return ServerLog.Read(server, count);
    }

    public IReadOnlyList<string> Names() =>
        [.. ServerInventory.ServiceUnits().Select(ServerInventory.InstanceName).Distinct(StringComparer.Ordinal)];

    public Task<IChangePlan> PlanInstallAsync(P11KitServerSpec spec, IReporter reporter, CancellationToken cancellationToken)
    {
        InstanceRules.CheckName(spec.Name);
        return InstallPlanner.PlanAsync(new SystemdManager(), spec, reporter, cancellationToken);
    }

    public IChangePlan PlanUninstall(string name, IReporter reporter)
    {
        InstanceRules.CheckName(name);
        return UninstallPlanner.Plan(new SystemdManager(), new InstanceLayout(name), reporter);
    }

    public IChangePlan PlanStart(string name, IReporter reporter) => Run(name, reporter).Start();

    public IChangePlan PlanStop(string name, IReporter reporter) => Run(name, reporter).Stop();

    public IChangePlan PlanRestart(string name, IReporter reporter) => Run(name, reporter).Restart();

    public Task<IReadOnlyList<P11KitConnection>> GetConnectionsAsync(P11KitServer server, IReporter reporter, CancellationToken cancellationToken) =>
        ConnectionInventory.ListAsync(server, reporter, cancellationToken);

    public IChangePlan PlanDisconnect(P11KitConnection connection) => DisconnectPlanner.Plan(new SystemdManager(), connection);

    public IChangePlan PlanTarget(string name, IReadOnlyList<Pkcs11Uri> target, IReporter reporter)
    {
        var systemd = new SystemdManager();
        var server = Find(systemd, name, reporter);
        List<PlanStep> steps = [];
        var allowed = TargetUriPolicy.Apply(target, reporter);
        if (server.TargetVariable is null)
            steps.AddRange(TargetDropIn.Plan(systemd, server, allowed));
        else if (TargetFile.Read(name, ConfigPath(server), server.TargetVariable).Retarget(Fitting(systemd, server, allowed)) is { } retarget)
            steps.Add(retarget);
        // A daemon has read its target at its start; per connection, the next one reads it.
        if (steps.Count > 0 && server is { Mode: P11KitServerMode.Daemon, State: not P11KitServerState.Stopped })
            steps.AddRange(new RunPlanner(systemd, server).RestartSteps());
        return new ChangePlan(name, steps, systemd);
    }

    /// <summary>Refuses what the unit's command would run together.</summary>
    static IReadOnlyList<Pkcs11Uri> Fitting(SystemdManager systemd, P11KitServer server, IReadOnlyList<Pkcs11Uri> target)
    {
        if (target.Count > 1 && ServerInventory.LoadService(systemd, server.ServiceUnit) is { } service
            && ServerCommand.Find(service, ServiceEnvironment.Of(server.Name, service)) is { TakesSeveral: false })
        {
            throw new HsmRemoteException(
                "TargetTakesOneUri", FailureKind.InvalidOperation,
                $"'{server.Name}' can have one URI only, and {target.Count} were given: its unit passes ${{{server.TargetVariable}}} as one argument.",
                $"Write ${server.TargetVariable}, without braces and quotes, in a drop-in: systemctl edit {server.ServiceUnit}. Or give one URI.", server.Name);
        }

        return target;
    }

    static RunPlanner Run(string name, IReporter reporter)
    {
        var systemd = new SystemdManager();
        return new RunPlanner(systemd, Find(systemd, name, reporter));
    }

    public P11TargetUri GetTarget(string name)
    {
        using var systemd = new SystemdManager();
        var server = Find(systemd, name, new NoReporter());
        if (server.TargetVariable is not { } variable)
            return new P11TargetUri { Name = name, Uri = server.TargetUri ?? [], Path = server.UnitPath! };
        var path = ConfigPath(server);
        return new P11TargetUri { Name = name, Uri = TargetFile.Read(name, path, variable).Uris(), Path = path };
    }

    static P11KitServer Find(ISystemdManager systemd, string name, IReporter reporter, bool detailed = false)
    {
        if (ServerInventory.Find(systemd, name, reporter, detailed) is { } server)
            return server;
        var others = ServerInventory.List(systemd, new NoReporter());
        throw new HsmRemoteException(
            "ServerNotFound", FailureKind.NotFound, $"There is no p11-kit server '{name}' on this host.",
            others.Count == 0
                ? $"Install it: Install-P11KitServer -Name {name} -Group GROUP."
                : $"There is: {string.Join(", ", others)}. Get-P11KitServer shows them.",
            name);
    }

    static string ConfigPath(P11KitServer server) => server.ConfigPath ?? throw new HsmRemoteException(
        "NoConfigFile", FailureKind.InvalidOperation,
        $"The target of '{server.Name}' is not in a file of its own: {server.Unit} has no EnvironmentFile=.",
        $"Change the unit itself ({server.UnitPath}), or install an instance with Install-P11KitServer.", server.Name);
}
