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

    public Task<IDisposable> LockAsync(string name, P11KitServerScope scope, IReporter reporter, CancellationToken cancellationToken)
    {
        SystemBus.RequireBooted();
        return InstanceLock.TakeAsync(name, scope, reporter, cancellationToken);
    }

    public IReadOnlyList<P11KitServer> Get(IReporter reporter)
    {
        using var systemd = new SystemdManager();
        return ServerInventory.List(systemd, reporter);
    }

    public P11KitServer Find(string name, IReporter reporter)
    {
        using var systemd = new SystemdManager();
        return Find(systemd, name, reporter);
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

    public IChangePlan PlanTarget(string name, IReadOnlyList<Pkcs11Uri> target, IReporter reporter)
    {
        var systemd = new SystemdManager();
        var server = Find(systemd, name, reporter);
        List<PlanStep> steps = [];
        if (TargetFile.Read(name, ConfigPath(server)).Retarget(TargetUriPolicy.Apply(target, reporter)) is { } retarget)
        {
            steps.Add(retarget);
            // A daemon has read its target at its start; per connection, the next one reads it.
            if (server is { Mode: P11KitServerMode.Daemon, State: P11KitServerState.Listening })
                steps.Add(UnitStep.Restart(systemd, server.Unit));
        }

        return new ChangePlan(name, steps, systemd);
    }

    public P11TargetUri GetTarget(string name)
    {
        using var systemd = new SystemdManager();
        var path = ConfigPath(Find(systemd, name, new NoReporter()));
        return new P11TargetUri { Name = name, Uri = TargetFile.Read(name, path).Uris(), Path = path };
    }

    static P11KitServer Find(ISystemdManager systemd, string name, IReporter reporter)
    {
        if (ServerInventory.Find(systemd, name, reporter) is { } server)
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
