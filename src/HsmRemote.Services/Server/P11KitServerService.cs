using HsmRemote.Services.Native;
using HsmRemote.Services.Plan;
using HsmRemote.Services.Sockets;
using HsmRemote.Services.Systemd;

namespace HsmRemote.Services.Server;

/// <summary>Instances: what is there, and the plans that change it.</summary>
sealed class P11KitServerService(IPkcs11TokenService tokens) : IP11KitServerService
{
    public void RequireRoot()
    {
        if (!Caller.IsRoot)
        {
            throw new HsmRemoteException(
                "RootRequired", FailureKind.PermissionDenied, "Changing system units needs root; nothing has been changed.",
                "Run it as root, for example with sudo. For an instance of your own: -Scope User.", "system units");
        }
    }

    public P11KitServerScope ScopeOf(IReadOnlyList<string> names) =>
        names.Any(name => ServerInventory.ServiceUnits(P11KitServerScope.User, name).Any())
        && !(Caller.IsRoot && names.Any(name => ServerInventory.ServiceUnits(P11KitServerScope.System, name).Any())) ? P11KitServerScope.User : P11KitServerScope.System;

    public void RequireRights(string name, P11KitServerScope? scope)
    {
        if (ScopeOf(name, scope) == P11KitServerScope.System)
            RequireRoot();
        else
            SystemBus.RequireUserManager();
    }

    public async Task<IDisposable> LockAsync(string name, P11KitServerScope? scope, IReporter reporter, CancellationToken cancellationToken)
    {
        SystemBus.RequireBooted();
        return await InstanceLock.TakeAsync(new InstanceLayout(name, ScopeOf(name, scope)), reporter, cancellationToken);
    }

    public async Task<IReadOnlyList<IDisposable>> LockGroupsAsync(
        IReadOnlyList<string> names, string? group, uint? groupId, IReporter reporter, CancellationToken cancellationToken)
    {
        // Nobody else's instances have groups.
        if (!Caller.IsRoot)
            return [];
        List<IDisposable> held = [];
        try
        {
            foreach (var concerned in names.SelectMany(name => InstanceGroup.Concerned(new InstanceLayout(name), InstanceGroup.Given(group, groupId, name))).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal))
                held.Add(await InstanceLock.TakeGroupAsync(concerned, reporter, cancellationToken));
            // What a run left that was killed while it wrote: of a group that an instance inherits, another's run writes it.
            foreach (var layout in names.Where(InstanceRules.IsName).Select(name => new InstanceLayout(name)))
                AtomicFile.RemoveLeftovers(layout.SysusersPath);
            return held;
        }
        catch
        {
            held.ForEach(taken => taken.Dispose());
            throw;
        }
    }

    public IReadOnlyList<P11KitServer> Get(IReporter reporter, bool detailed = false)
    {
        using var managers = new SystemdManagers();
        return ServerInventory.List(managers, reporter, detailed);
    }

    public P11KitServer Find(string name, IReporter reporter, P11KitServerScope? scope = null, bool detailed = false)
    {
        using var managers = new SystemdManagers();
        return Find(managers, name, reporter, scope, detailed);
    }

    public IReadOnlyList<P11KitLogEntry> Log(P11KitServer server, int count, IReporter reporter)
    {
        if (!UnitJournal.MayRead(server.Scope))
        {
            reporter.Warning(
                "The system's journal may not be read by this user, so what the servers wrote to it is not shown. "
                + "Run it as root, or have root add the user to the group systemd-journal: usermod -aG systemd-journal USER.");
        }

        using var step = new Step(reporter, $"Read the journal of '{server.Name}'");
        var entries = ServerLog.Read(server, count);
        step.Outcome = $"entries: {entries.Count}";
        return entries;
    }

    public IReadOnlyList<string> Names() =>
        [.. Enum.GetValues<P11KitServerScope>().SelectMany(scope => ServerInventory.ServiceUnits(scope))
            .Select(ServerInventory.InstanceName).Distinct(StringComparer.Ordinal)];

    public Task<IChangePlan> PlanInstallAsync(P11KitServerSpec spec, IReporter reporter, CancellationToken cancellationToken)
    {
        InstanceRules.CheckName(spec.Name);
        return InstallPlanner.PlanAsync(new SystemdManagers(), spec, new InstanceLayout(spec.Name, ScopeOf(spec.Name, spec.Scope)), reporter, cancellationToken);
    }

    public IChangePlan PlanUninstall(string name, IReporter reporter, P11KitServerScope? scope = null)
    {
        InstanceRules.CheckName(name);
        var managers = new SystemdManagers();
        // Not there is fine; there twice is not.
        var there = scope ?? One(ServerInventory.Find(managers, name, reporter), name)?.Scope ?? P11KitServerScope.System;
        return UninstallPlanner.Plan(managers, new InstanceLayout(name, there), reporter);
    }

    public IChangePlan PlanStart(string name, IReporter reporter, P11KitServerScope? scope = null) => Run(name, reporter, scope).Start();

    public IChangePlan PlanStop(string name, IReporter reporter, P11KitServerScope? scope = null) => Run(name, reporter, scope).Stop();

    public IChangePlan PlanRestart(string name, IReporter reporter, P11KitServerScope? scope = null) => Run(name, reporter, scope).Restart();

    public Task<IReadOnlyList<P11KitConnection>> GetConnectionsAsync(P11KitServer server, IReporter reporter, CancellationToken cancellationToken) =>
        ConnectionInventory.ListAsync(server, reporter, cancellationToken);

    public IChangePlan PlanDisconnect(P11KitConnection connection) => DisconnectPlanner.Plan(new SystemdManager(connection.Scope), connection);

    public async Task<IP11TargetPlan> PlanTargetAsync(P11TargetRequest request, IReporter reporter, CancellationToken cancellationToken)
    {
        var managers = new SystemdManagers();
        try
        {
            var server = Find(managers, request.Name, reporter, request.Scope);
            var systemd = managers[server.Scope];
            ITargetPlace place = server.TargetVariable is { } variable
                ? TargetFile.Read(request.Name, ConfigPath(server), variable)
                : new TargetDropIn(systemd, server);
            if (request.Change == P11TargetChange.Set)
                CheckFits(systemd, server, request.Uri.Distinct().Count());
            var plan = await new TargetPlanner(tokens, request, server, place).PlanAsync(systemd, managers, reporter, cancellationToken);
            CheckFits(systemd, server, plan.Target.Count);
            return plan;
        }
        catch
        {
            managers.Dispose();
            throw;
        }
    }

    public async Task<IReadOnlyList<Pkcs11UriTest>> TestUrisAsync(
        IReadOnlyList<string> texts, Pkcs11TokenQuery query, IReporter reporter, CancellationToken cancellationToken)
    {
        var live = await tokens.FindAsync(TargetSelection.Live(query, ClientLoop.RemoteCommand), new WarningReporter(reporter), cancellationToken);
        return [.. texts.Select(text => UriExaminer.Examine(text, live))];
    }

    public P11TargetUri GetTarget(string name, P11KitServerScope? scope = null)
    {
        using var managers = new SystemdManagers();
        var server = Find(managers, name, new NoReporter(), scope);
        if (server.TargetVariable is not { } variable)
            return new P11TargetUri { Name = name, Scope = server.Scope, Uri = server.TargetUri ?? [], Path = CommandPath(managers[server.Scope], server) };
        var path = ConfigPath(server);
        return new P11TargetUri { Name = name, Scope = server.Scope, Uri = TargetFile.Read(name, path, variable).Uris(), Path = path };
    }

    public Task RunForegroundAsync(
        IReadOnlyList<Pkcs11Uri> targetUri, string? socketPath, Action<P11KitForegroundServer> started, IReporter reporter, CancellationToken cancellationToken) =>
        new ForegroundServer(TargetUriPolicy.Apply(targetUri, reporter), socketPath, reporter).RunAsync(started, cancellationToken);

    /// <summary>Refuses what the unit's command would run together.</summary>
    static void CheckFits(ISystemdManager systemd, P11KitServer server, int count)
    {
        if (count > 1 && server.TargetVariable is { } variable && ServerInventory.LoadService(systemd, server.ServiceUnit) is { } service
            && ServerCommand.Find(service, ServiceEnvironment.Of(server.Name, service)) is { TakesSeveral: false })
        {
            throw new HsmRemoteException(
                "TargetTakesOneUri", FailureKind.InvalidOperation,
                $"'{server.Name}' can have one URI only, and {count} were given: its unit passes ${{{variable}}} as one argument.",
                $"Write ${variable}, without braces and quotes, in a drop-in: systemctl edit {server.ServiceUnit}. Or give one URI.", server.Name);
        }
    }

    static RunPlanner Run(string name, IReporter reporter, P11KitServerScope? scope)
    {
        var managers = new SystemdManagers();
        var server = Find(managers, name, reporter, scope);
        return new RunPlanner(managers[server.Scope], server);
    }

    /// <summary>Whose instance is meant.</summary>
    P11KitServerScope ScopeOf(string name, P11KitServerScope? scope) => scope ?? ScopeOf([name]);

    static P11KitServer Find(SystemdManagers managers, string name, IReporter reporter, P11KitServerScope? scope, bool detailed = false)
    {
        var found = ServerInventory.Find(managers, name, reporter, detailed).Where(s => scope is null || s.Scope == scope).ToList();
        if (One(found, name) is { } server)
            return server;
        var others = ServerInventory.List(managers, new NoReporter());
        throw new HsmRemoteException(
            "ServerNotFound", FailureKind.NotFound, $"There is no p11-kit server '{name}' on this host.",
            others.Count == 0
                ? $"Install it: Install-P11KitServer -Name {name} -Group GROUP."
                : $"There is: {string.Join(", ", others)}. Get-P11KitServer shows them.",
            name);
    }

    /// <exception cref="HsmRemoteException">There are two.</exception>
    static P11KitServer? One(IReadOnlyList<P11KitServer> found, string name) => found.Count < 2 ? found is [var only] ? only : null : throw new HsmRemoteException(
        "ServerAmbiguous", FailureKind.InvalidArgument, $"There are two p11-kit servers '{name}': the machine's and your own.", "Say which one: -Scope System or -Scope User.", name);

    /// <summary>The file of the service's unit, or of its drop-ins, that has the command in force: the last one that has any.</summary>
    static string CommandPath(ISystemdManager systemd, P11KitServer server)
    {
        var service = ServerInventory.LoadService(systemd, server.ServiceUnit)!;
        var unit = service.Text("FragmentPath");
        return service.Texts("DropInPaths").LastOrDefault(path => UnitFile.ValueOf(path, "ExecStart") is not null) ?? unit;
    }

    static string ConfigPath(P11KitServer server) => server.ConfigPath ?? throw new HsmRemoteException(
        "NoConfigFile", FailureKind.InvalidOperation,
        $"The target of '{server.Name}' is not in a file of its own: {server.Unit} has no EnvironmentFile=.",
        $"Change the unit itself ({server.UnitPath}), or take it over: Install-P11KitServer -Name {server.Name} -Adopt.", server.Name);
}
