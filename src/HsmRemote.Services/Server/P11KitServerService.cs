using HsmRemote.Services.Native;
using HsmRemote.Services.Plan;
using HsmRemote.Services.Systemd;

namespace HsmRemote.Services.Server;

/// <summary>Instances: what is there, and the plans that change it.</summary>
sealed class P11KitServerService(IPkcs11TokenService tokens) : IP11KitServerService
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

    public async Task<IP11TargetPlan> PlanTargetAsync(P11TargetRequest request, IReporter reporter, CancellationToken cancellationToken)
    {
        var systemd = new SystemdManager();
        try
        {
            var server = Find(systemd, request.Name, reporter);
            var planner = new TargetPlanner(tokens, request, server, TargetFile.Read(request.Name, ConfigPath(server)));
            return await planner.PlanAsync(systemd, reporter, cancellationToken);
        }
        catch
        {
            systemd.Dispose();
            throw;
        }
    }

    public async Task<IReadOnlyList<Pkcs11UriTest>> TestUrisAsync(
        IReadOnlyList<string> texts, Pkcs11TokenQuery query, IReporter reporter, CancellationToken cancellationToken)
    {
        var live = await tokens.FindAsync(TargetSelection.Live(query), new WarningReporter(reporter), cancellationToken);
        return [.. texts.Select(text => UriExaminer.Examine(text, live))];
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
