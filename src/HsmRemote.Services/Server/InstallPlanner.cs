using HsmRemote.Services.Native;
using HsmRemote.Services.P11Kit;
using HsmRemote.Services.Plan;
using HsmRemote.Services.Systemd;

namespace HsmRemote.Services.Server;

/// <summary>What is missing for an instance to be as it should: groups, files, units, in the order in which they are needed.</summary>
static class InstallPlanner
{
    const UnixFileMode DefaultSocketMode = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.GroupWrite;

    internal static async Task<IChangePlan> PlanAsync(
        ISystemdManager systemd, P11KitServerSpec spec, IReporter reporter, CancellationToken cancellationToken)
    {
        var layout = new InstanceLayout(spec.Name);
        InstanceRules.CheckUnitsAreFree(systemd, layout);
        var servers = ServerInventory.List(systemd, reporter);
        var installed = servers.FirstOrDefault(s => string.Equals(s.Name, spec.Name, StringComparison.Ordinal));
        var wanted = Decide(spec, layout, installed);
        InstanceRules.CheckSocketPath(wanted.SocketPath, spec.Name, servers);
        InstanceRules.CheckGroup(wanted.Group, spec.GroupId);
        var target = spec.TargetUri is null ? null : TargetUriPolicy.Apply(spec.TargetUri, reporter);

        var units = Units(wanted);
        var unitSteps = units.Select(unit => Ensure(unit.Key, unit.Value)).OfType<PlanStep>().ToList();
        if (unitSteps.Count > 0)
            await UnitVerifier.VerifyAsync(units.ToDictionary(u => Path.GetFileName(u.Key), u => u.Value, StringComparer.Ordinal), cancellationToken);

        var socket = systemd.Load(layout.SocketUnit);
        var isActive = socket?.Text("ActiveState") is "active";
        // A socket keeps what it was started with; stopped under its old configuration, it takes its old path with it.
        var restart = isActive && unitSteps.Exists(s => string.Equals(s.Change.Target, layout.SocketUnitPath, StringComparison.Ordinal));

        List<PlanStep> steps = [];
        if (!Directory.Exists(layout.ConfigDirectory))
            steps.Add(new CreateDirectoryStep(layout.ConfigDirectory));
        var newGroup = Accounts.FindGroup(wanted.Group) is null;
        var ownedGroup = InstanceGroup.Owned(layout);
        if (newGroup)
        {
            if (Ensure(layout.SysusersPath, InstanceGroup.SysusersFile(spec.Name, wanted.Group, spec.GroupId)) is { } sysusers)
                steps.Add(sysusers);
            steps.Add(new CreateGroupStep(wanted.Group, spec.GroupId, layout.SysusersPath));
        }

        var config = TargetFile.Read(spec.Name, layout.ConfigPath);
        // No target given: one that is there stays, and a new file exposes nothing.
        if ((target is not null || !config.Exists) && config.Retarget(target ?? []) is { } retarget)
            steps.Add(retarget);

        if (restart)
            steps.Add(UnitStep.Stop(systemd, layout.SocketUnit));
        steps.AddRange(unitSteps);
        if (unitSteps.Count > 0 || socket?.Flag("NeedDaemonReload") is true)
            steps.Add(UnitStep.Reload(systemd));
        if (systemd.FileState(layout.SocketUnit) is not "enabled")
            steps.Add(UnitStep.Enable(systemd, layout.SocketUnit));
        if (restart || !isActive)
            steps.Add(UnitStep.Start(systemd, layout.SocketUnit));

        RemoveOldForm(systemd, wanted, installed, ownedGroup, newGroup, steps, reporter);
        return new ChangePlan(spec.Name, steps, systemd);
    }

    /// <summary>How the unit files of an instance differ from those that an install, with nothing said, would write.</summary>
    internal static IReadOnlyList<P11KitDrift> Drift(P11KitServer installed)
    {
        var layout = new InstanceLayout(installed.Name);
        // As the files themselves have it: an administrator's drop-in is no drift.
        var written = installed with
        {
            SocketPath = UnitFile.ValueOf(layout.SocketUnitPath, "ListenStream"),
            SocketMode = UnitFile.ValueOf(layout.SocketUnitPath, "SocketMode"),
            Group = UnitFile.ValueOf(layout.SocketUnitPath, "SocketGroup"),
        };
        return [.. Units(Decide(new P11KitServerSpec { Name = installed.Name }, layout, written))
            .Select(unit => Ensure(unit.Key, unit.Value))
            .OfType<WriteFileStep>()
            .Select(step => new P11KitDrift(step.Change.Target, step.Change.Description, step.Change.Difference))];
    }

    /// <summary>The unit files that an instance has, path and content.</summary>
    static Dictionary<string, string> Units(InstanceState wanted) => new(StringComparer.Ordinal)
    {
        [wanted.Layout.SocketUnitPath] = InstanceUnits.Socket(wanted),
        [wanted.Layout.ServiceTemplatePath] = InstanceUnits.Service(wanted, P11KitInstallation.Command(), [SoftHsmStore.Directory()]),
    };

    /// <summary>What was given, else what is installed, else the default.</summary>
    static InstanceState Decide(P11KitServerSpec spec, InstanceLayout layout, P11KitServer? installed) => new(
        layout,
        spec.SocketPath ?? installed?.SocketPath ?? layout.DefaultSocketPath,
        spec.SocketMode ?? (installed?.SocketMode is { } mode ? (UnixFileMode)Convert.ToInt32(mode, 8) : DefaultSocketMode),
        spec.Group
        ?? (spec.GroupId is { } id ? Accounts.FindGroup(id)?.Name ?? spec.Name : null)
        ?? installed?.Group
        ?? "root");

    /// <summary>A socket directory and a group that the instance had, and has no more.</summary>
    static void RemoveOldForm(
        ISystemdManager systemd, InstanceState wanted, P11KitServer? installed, string? ownedGroup, bool newGroup, List<PlanStep> steps, IReporter reporter)
    {
        if (installed?.SocketPath is { } old && !string.Equals(old, wanted.SocketPath, StringComparison.Ordinal)
            && UninstallPlanner.RuntimeDirectory(old) is { } directory
            && !string.Equals(directory, Path.GetDirectoryName(wanted.SocketPath), StringComparison.Ordinal))
            steps.Add(new RemoveDirectoryStep(directory));

        if (ownedGroup is null || string.Equals(ownedGroup, wanted.Group, StringComparison.Ordinal))
            return;
        if (InstanceGroup.Release(systemd, wanted.Layout, ownedGroup, reporter) is { } release)
            steps.Add(release);
        if (!newGroup)
            steps.Add(new RemoveFileStep(wanted.Layout.SysusersPath));
    }

    /// <summary>The step that makes a file of ours be as it should, or null when it is.</summary>
    static WriteFileStep? Ensure(string path, string content)
    {
        var before = AtomicFile.Read(path);
        var after = FileImage.Ours(content);
        return after.IsSame(before) ? null : new WriteFileStep(path, before, after);
    }
}
