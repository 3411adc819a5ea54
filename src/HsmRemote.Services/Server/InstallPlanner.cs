using HsmRemote.Services.Native;
using HsmRemote.Services.P11Kit;
using HsmRemote.Services.Plan;
using HsmRemote.Services.Systemd;

namespace HsmRemote.Services.Server;

/// <summary>What is missing for an instance to be as it should: groups, files, units, in the order in which they are needed.</summary>
static class InstallPlanner
{
    internal static async Task<IChangePlan> PlanAsync(
        SystemdManagers managers, P11KitServerSpec spec, InstanceLayout layout, IReporter reporter, CancellationToken cancellationToken)
    {
        var servers = ServerInventory.List(managers, reporter);
        var same = servers.Where(s => string.Equals(s.Name, spec.Name, StringComparison.Ordinal)).ToList();
        var systemd = managers[layout.Scope];
        var installed = same.Find(s => s.Scope == layout.Scope);
        // Of the other scope, and the caller's to remove: it moves here.
        var other = new InstanceLayout(spec.Name, layout.Scope == P11KitServerScope.System ? P11KitServerScope.User : P11KitServerScope.System);
        var moving = Caller.IsRoot ? same.Find(s => s.Scope == other.Scope && s.IsManaged) : null;
        var renaming = Renaming.Of(servers, spec, layout, installed, reporter);
        var adoption = Adoption.Of(systemd, layout, installed, spec.Adopt);
        var takesOver = adoption is not null && installed is { IsManaged: false };
        if (takesOver)
            installed = adoption!.Before(installed!);
        InstanceRules.CheckUnitsAreFree(systemd, layout, adoption is not null);
        if (adoption is null && !ServerInventory.HasOurs(layout))
            InstanceRules.CheckConfigIsFree(layout);

        var wanted = InstanceDecision.Of(spec, layout, installed ?? renaming?.At(layout), moving, renaming?.From ?? (moving is null ? null : other), systemd, reporter);
        InstanceRules.CheckSocketPath(
            wanted.SocketPath, spec.Name, renaming?.Others(servers) ?? servers, own: UnitFile.ValueOf(layout.SocketUnitPath, "ListenStream") ?? renaming?.Former?.SocketPath);
        wanted = wanted with { Origin = InstanceOrigin.Of(layout, wanted.SocketPath, adoption, servers.Except(same).Where(s => s.IsManaged).Select(s => new InstanceLayout(s.Name, s.Scope))) };
        var newGroup = layout.Scope == P11KitServerScope.System && Accounts.FindGroup(wanted.Group) is null;
        var groupId = spec.GroupId ?? (newGroup ? InstanceGroup.IdOf(layout, wanted.Group) : null);
        if (layout.Scope == P11KitServerScope.System)
        {
            InstanceRules.CheckGroup(wanted.Group, groupId);
            InstanceRules.CheckConfigDirectory(layout);
        }

        var target = spec.TargetUri is null ? null : TargetUriPolicy.Apply(spec.TargetUri, reporter);

        var packages = await PackagePlanner.PlanAsync(spec, reporter, cancellationToken);
        var config = TargetFile.Read(spec.Name, layout.ConfigPath, former: renaming?.From.ConfigPath);
        var p11Kit = P11KitInstallation.Command(isToBeInstalled: packages is not null);
        var form = InstanceForm.Of(
            wanted, p11Kit, () => P11KitInstallation.CanBeActivated(packages is not null), config.OtherVariables, SandboxDirectives.For(wanted.Sandbox, layout.Scope, reporter));
        if (takesOver)
            AdoptedService.WarnOfRest(systemd, installed!, adoption!, form, reporter);
        InstanceRules.CheckForm(wanted, form, systemd.Load(layout.Service), (installed ?? renaming?.Former)?.SocketPath);
        var unitSteps = form.Units.Select(unit => Ensure(layout, unit.Key, unit.Value)).OfType<PlanStep>().ToList();
        if (unitSteps.Count > 0)
        {
            using var step = new Step(reporter, "Have systemd-analyze verify the units");
            // systemd complains of a program that is not there, which it will be by then.
            await UnitVerifier.VerifyAsync(
                packages is null ? form.Units : form.Units.ToDictionary(u => u.Key, u => u.Value.Replace(p11Kit, "/bin/sh", StringComparison.Ordinal), StringComparer.Ordinal),
                cancellationToken, layout.Scope);
        }

        // Those of another mode.
        var gone = layout.Units.Where(unit => !form.Units.ContainsKey(unit) && File.Exists(layout.UnitPath(unit))).ToList();
        bool Changes(string unit) => gone.Contains(unit, StringComparer.Ordinal)
            || unitSteps.Exists(s => string.Equals(s.Change.Target, layout.UnitPath(unit), StringComparison.Ordinal));
        // No target given: one that is there stays, and a new file exposes nothing.
        var retarget = (target is null ? config.Copy() : null)
            ?? (target is not null || !config.Exists || (takesOver && !HasItsTargetIn(layout.ConfigPath, installed!))
                ? config.Retarget(target ?? (moving ?? installed)?.TargetUri ?? [], layout.Scope)
                : null);

        List<PlanStep> steps = [];
        if (packages is not null)
            steps.Add(packages);
        if (takesOver)
        {
            // While it runs still: what is lost with it is kept first.
            AddDirectories(Adoption.Directory(layout), steps);
            AddDirectories(layout.UnitDirectory, steps);
            steps.AddRange(adoption!.Save());
            if (retarget is not null)
                steps.Add(retarget);
        }

        if (renaming is not null)
            UninstallPlanner.AddStops(systemd, renaming.From, null, steps);
        // What runs keeps what it was started with; stopped under its old configuration, a socket takes its old path with it.
        var socketStops = IsRunning(systemd, layout.SocketUnit) && Changes(layout.SocketUnit);
        // A service has read its target when it was started, and holds the socket that it was given.
        var serviceStops = IsRunning(systemd, layout.Service) && (Changes(layout.Service) || socketStops || retarget is not null || takesOver);
        if (socketStops)
            steps.Add(UnitStep.Stop(systemd, layout.SocketUnit));
        // p11-kit server ends with a failure, which a run that was cut short has not forgotten.
        if (serviceStops || (Changes(layout.Service) && systemd.Load(layout.Service)?.Text("ActiveState") is "failed"))
            steps.Add(UnitStep.Stop(systemd, layout.Service, returns: serviceStops && systemd.Load(layout.SocketUnit) is null));
        if (gone.Contains(layout.ServiceTemplate, StringComparer.Ordinal))
            UninstallPlanner.EndConnections(systemd, layout, steps);
        steps.AddRange(new[] { layout.SocketUnit, layout.Service }
            .Where(unit => !string.Equals(unit, form.Listener, StringComparison.Ordinal) && systemd.FileState(unit) is "enabled")
            .Select(unit => UnitStep.Disable(systemd, unit)));

        // What tells of the old form goes after it, and the units come before what belongs to them: a run that was cut short
        // is found, and finished by the next.
        RemoveOldForm(managers, wanted, form, installed, renaming?.From ?? layout, InstanceGroup.Owned(layout), newGroup, steps, reporter);
        AddDirectories(layout.UnitDirectory, steps);
        steps.AddRange(unitSteps);
        // Drop-ins that were there before an instance was taken over come back with its units.
        foreach (var unit in gone.Where(unit => adoption is null))
            UninstallPlanner.AddDropIns(layout.UnitPath(unit), wanted.Origin, steps, reporter);
        steps.AddRange(gone.Select(unit => new RemoveFileStep(layout.UnitPath(unit))));
        AddDirectories(layout.ConfigDirectory, steps);
        if (newGroup)
        {
            if (Ensure(layout.SysusersPath, InstanceGroup.SysusersFile(spec.Name, wanted.Group, groupId), layout.Scope) is { } sysusers)
                steps.Add(sysusers);
            steps.Add(new CreateGroupStep(wanted.Group, groupId, layout.SysusersPath));
        }

        if (retarget is not null && !takesOver)
            steps.Add(retarget);

        if (renaming is not null)
        {
            renaming.AddDropIns(layout, form.Units.Keys, steps, reporter);
            UninstallPlanner.AddRenamed(systemd, renaming, wanted, steps, reporter);
        }

        // Before the reload: systemd 257 takes a link that it has not seen for units that have changed.
        var enables = systemd.FileState(form.Listener) is not "enabled";
        if (enables)
            steps.Add(UnitStep.Enable(systemd, form.Listener));
        if (unitSteps.Count + gone.Count > 0 || enables || (spec.FormerName is { } former && UninstallPlanner.IsRemembered(systemd, new InstanceLayout(former, layout.Scope))) || layout.Units.Any(unit => ServerInventory.LoadService(systemd, unit)?.Flag("NeedDaemonReload") is true))
            steps.Add(UnitStep.Reload(systemd));
        var listenerStops = string.Equals(form.Listener, layout.SocketUnit, StringComparison.Ordinal) ? socketStops : serviceStops;
        if (listenerStops || !IsRunning(systemd, form.Listener))
            steps.Add(UnitStep.Start(systemd, form.Listener));

        // Its units tell, too: a run that was cut short may have left some of them.
        if (Caller.IsRoot && SystemdManagers.Scopes.Contains(other.Scope))
            steps.AddRange(UninstallPlanner.Steps(managers, other, moving, reporter));
        return new ChangePlan(spec.Name, steps, managers);
    }

    static bool HasItsTargetIn(string path, P11KitServer server) =>
        server.TargetVariable is InstanceLayout.TargetVariable && string.Equals(server.ConfigPath, path, StringComparison.Ordinal);

    static bool IsRunning(ISystemdManager systemd, string unit) => systemd.Load(unit)?.Text("ActiveState") is not (null or "inactive" or "failed");

    /// <summary>How the unit files of an instance differ from those that an install, with nothing said, would write.</summary>
    /// <exception cref="HsmRemoteException">That cannot be said: p11-kit is not installed, for example.</exception>
    internal static IReadOnlyList<P11KitDrift> Drift(ISystemdManager systemd, P11KitServer installed)
    {
        var layout = new InstanceLayout(installed.Name, installed.Scope);
        // As the files themselves have it: an administrator's drop-in is no drift.
        string? Written(string directive) => UnitFile.ValueOf(layout.SocketUnitPath, directive);
        var written = installed with
        {
            SocketPath = Written("ListenStream") ?? installed.SocketPath,
            SocketMode = Written("SocketMode") ?? installed.SocketMode,
            Group = Written("SocketGroup") ?? installed.Group,
            MaxConnections = uint.TryParse(Written("MaxConnections"), out var most) ? most : installed.MaxConnections,
        };
        var silent = new NoReporter();
        var wanted = InstanceDecision.Of(new P11KitServerSpec { Name = installed.Name }, layout, written, null, null, systemd, silent) with { Origin = InstanceOrigin.Read(layout) };
        var form = InstanceForm.Of(
            wanted, P11KitInstallation.Command(), () => P11KitInstallation.CanBeActivated(),
            TargetFile.Read(installed.Name, layout.ConfigPath).OtherVariables, SandboxDirectives.For(wanted.Sandbox, layout.Scope, silent));
        return [.. form.Units.Select(unit => Ensure(layout, unit.Key, unit.Value))
            .OfType<WriteFileStep>()
            .Select(step => new P11KitDrift(step.Change.Target, step.Change.Description, step.Change.Difference))];
    }

    /// <summary>The steps that make a directory and those above it, as far as they are missing.</summary>
    internal static void AddDirectories(string wanted, List<PlanStep> steps)
    {
        Stack<string> missing = [];
        for (var directory = wanted; !Directory.Exists(directory); directory = Path.GetDirectoryName(directory)!)
            missing.Push(directory);
        steps.AddRange(missing.Where(path => !steps.Exists(s => string.Equals(s.Change.Target, path, StringComparison.Ordinal))).Select(path => new CreateDirectoryStep(path)));
    }

    /// <summary>A socket directory and a group that the instance had, and has no more.</summary>
    static void RemoveOldForm(
        SystemdManagers managers, InstanceState wanted, InstanceForm form, P11KitServer? installed, InstanceLayout from, string? ownedGroup, bool newGroup, List<PlanStep> steps, IReporter reporter)
    {
        var layout = wanted.Layout;
        if (installed is { IsManaged: true, SocketPath: { } old } && !SamePath.Is(old, wanted.SocketPath))
        {
            UninstallPlanner.AddSocketDirectories(UninstallPlanner.MadeFor(layout, InstanceOrigin.Read(layout), old, wanted), old, steps);
        }
        // What the service's account had as its own: as root, systemd would follow the links in it.
        else if (string.Equals(form.Listener, layout.SocketUnit, StringComparison.Ordinal) && ServerInventory.IsOurs(from.UnitPath(from.Service))
            && UnitFile.ValueOf(from.UnitPath(from.Service), "RuntimeDirectory") is not null && Path.GetDirectoryName(wanted.SocketPath)! is var own
            && FileStatus.TryReadLink(own, out var status) == 0 && status.UserId != (layout.UserId ?? 0))
        {
            steps.Add(new RemoveDirectoryStep(own, isRequired: true));
        }

        if (ownedGroup is null || string.Equals(ownedGroup, wanted.Group, StringComparison.Ordinal))
            return;
        if (InstanceGroup.Release(managers[P11KitServerScope.System], layout, ownedGroup, reporter) is { } release)
            steps.Add(release);
        if (!newGroup)
            steps.Add(new RemoveFileStep(layout.SysusersPath));
    }

    static WriteFileStep? Ensure(InstanceLayout layout, string unit, string content) => Ensure(layout.UnitPath(unit), content, layout.Scope);

    /// <summary>The step that makes a file of ours be as it should, or null when it is.</summary>
    /// <param name="path">The file.</param>
    /// <param name="content">All of its content.</param>
    /// <param name="scope">Whose it is.</param>
    /// <param name="show">What people see of it; null: all.</param>
    internal static WriteFileStep? Ensure(string path, string content, P11KitServerScope scope, Func<FileImage, string>? show = null)
    {
        var before = AtomicFile.Read(path);
        var after = FileImage.Ours(content, scope);
        return after.IsSame(before) ? null : new WriteFileStep(path, before, after, show);
    }
}
