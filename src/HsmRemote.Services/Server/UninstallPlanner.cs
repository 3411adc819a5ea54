using HsmRemote.Services.Containers;
using HsmRemote.Services.Native;
using HsmRemote.Services.Plan;
using HsmRemote.Services.Systemd;

namespace HsmRemote.Services.Server;

/// <summary>What has to go for an instance to be gone without trace. Nothing of it there: nothing to do.</summary>
static class UninstallPlanner
{
    internal static IChangePlan Plan(SystemdManagers managers, InstanceLayout layout, IReporter reporter)
    {
        var installed = ServerInventory.Find(managers[layout.Scope], layout.Name, reporter);
        // A run that was cut short may have removed a unit of ours that systemd has loaded still.
        if (installed is { IsManaged: false } && !ServerInventory.HasOurs(layout) && !Adoption.Has(layout))
        {
            throw new HsmRemoteException(
                "NotManaged", FailureKind.InvalidOperation, $"'{layout.Name}' was not installed by HsmRemote: its unit is {installed.UnitPath}.",
                "Remove it with what installed it (its package, for example).", layout.Name);
        }

        return new ChangePlan(layout.Name, Steps(managers, layout, installed, reporter), managers);
    }

    internal static List<PlanStep> Steps(SystemdManagers managers, InstanceLayout layout, P11KitServer? installed, IReporter reporter)
    {
        var systemd = managers[layout.Scope];
        List<PlanStep> steps = [];
        var units = layout.Units.Select(layout.UnitPath).Where(ServerInventory.IsOurs).ToList();
        var before = Adoption.Read(systemd, layout);
        if (units.Count == 0 && before is null)
        {
            // A run that was cut short may have left just this to do.
            if (IsRemembered(systemd, layout))
                steps.Add(UnitStep.Reload(systemd));
            return steps;
        }

        var origin = InstanceOrigin.Read(layout);
        AddStops(systemd, layout, before, steps);
        AddGroup(systemd, layout, null, steps, reporter);
        // The units go last: as long as one is there, a run that was cut short is found and finished by the next.
        if (units.Count > 0)
            AddSocketDirectories(layout, origin, installed?.SocketPath, null, steps, reporter);
        if (before is null)
            AddFiles(layout, origin, units, steps, reporter);
        else
        {
            // Drop-ins were there before, or were made for what comes back as well.
            steps.AddRange(before.Restore());
        }

        steps.AddRange(units.Where(path => before?.HasFile(Path.GetFileName(path)) is not true).Select(path => new RemoveFileStep(path)));
        steps.AddRange(before?.Enable() ?? []);
        steps.Add(UnitStep.Reload(systemd));
        steps.AddRange(before?.Start() ?? []);
        steps.AddRange(before?.Forget() ?? []);
        if (layout.Scope == P11KitServerScope.User && before is null)
            AddUnitDirectories(layout, steps);
        return steps;
    }

    /// <summary>Whether systemd has a unit in memory whose file is gone.</summary>
    internal static bool IsRemembered(ISystemdManager systemd, InstanceLayout layout) => layout.Units.Any(unit =>
        !File.Exists(layout.UnitPath(unit)) && string.Equals(ServerInventory.LoadService(systemd, unit)?.Text("FragmentPath"), layout.UnitPath(unit), StringComparison.Ordinal));

    /// <summary>Stops what runs, ends the connections, and has nothing start with the machine.</summary>
    internal static void AddStops(ISystemdManager systemd, InstanceLayout layout, Adoption? before, List<PlanStep> steps)
    {
        // A failed one has to be forgotten.
        if (!IsAtRest(layout.SocketUnit))
            steps.Add(UnitStep.Stop(systemd, layout.SocketUnit));
        if (!IsAtRest(layout.Service))
            steps.Add(UnitStep.Stop(systemd, layout.Service, returns: systemd.Load(layout.SocketUnit) is null));
        EndConnections(systemd, layout, steps);
        steps.AddRange(new[] { layout.SocketUnit, layout.Service }
            .Where(unit => systemd.FileState(unit) is "enabled" && before?.WasEnabled(unit) is not true).Select(unit => UnitStep.Disable(systemd, unit)));

        bool IsAtRest(string unit) => systemd.Load(unit)?.Text("ActiveState") is null or "inactive";
    }

    /// <summary>Removes what is left of an instance that has been stopped, and is another from now on; the units last.</summary>
    internal static void AddRenamed(ISystemdManager systemd, Renaming renaming, InstanceState successor, List<PlanStep> steps, IReporter reporter)
    {
        var layout = renaming.From;
        var origin = InstanceOrigin.Read(layout);
        var units = layout.Units.Select(layout.UnitPath).Where(ServerInventory.IsOurs).ToList();
        AddGroup(systemd, layout, successor, steps, reporter);
        AddSocketDirectories(layout, origin, renaming.Former?.SocketPath, successor, steps, reporter);
        AddFiles(layout, origin, units, steps, reporter);
        steps.AddRange(units.Select(path => new RemoveFileStep(path)));
    }

    static void AddGroup(ISystemdManager systemd, InstanceLayout layout, InstanceState? successor, List<PlanStep> steps, IReporter reporter)
    {
        if (InstanceGroup.Owned(layout) is { } owned && InstanceGroup.Release(systemd, layout, owned, reporter, successor) is { } release)
            steps.Add(release);
    }

    static void AddSocketDirectories(InstanceLayout layout, InstanceOrigin? origin, string? socketPath, InstanceState? successor, List<PlanStep> steps, IReporter reporter)
    {
        if (socketPath is not null && MadeFor(layout, origin, socketPath, successor) is [var lowest, ..] made && !IsMounted(lowest, layout, successor, reporter))
            AddSocketDirectories(made, socketPath, steps);
    }

    /// <summary>The directories that were made for a socket, from the one that holds it upwards, but for those that the instance goes on in.</summary>
    internal static List<string> MadeFor(InstanceLayout layout, InstanceOrigin? origin, string socketPath, InstanceState? successor) =>
        [.. (origin ?? InstanceOrigin.Assumed(layout, socketPath)).MadeAbove(socketPath)
            .Where(directory => successor?.SocketPath.StartsWith($"{directory}/", StringComparison.Ordinal) is not true)];

    static void AddFiles(InstanceLayout layout, InstanceOrigin? origin, List<string> units, List<PlanStep> steps, IReporter reporter)
    {
        AddConfiguration(layout, origin ?? InstanceOrigin.Assumed(layout, null), steps, reporter);
        foreach (var unit in units)
            AddDropIns(unit, origin, steps, reporter);
    }

    /// <summary>A user's directories of units, which are seldom there before an instance is.</summary>
    static void AddUnitDirectories(InstanceLayout layout, List<PlanStep> steps)
    {
        var above = Path.GetDirectoryName(layout.UnitDirectory)!;
        // A link to where somebody keeps their configuration is theirs.
        if (IsLink(layout.UnitDirectory) || !Directory.GetFileSystemEntries(layout.UnitDirectory).All(IsOurs))
            return;
        steps.Add(new RemoveDirectoryStep(layout.UnitDirectory));
        if (!IsLink(above) && Directory.GetFileSystemEntries(above).Length == 1)
            steps.Add(new RemoveDirectoryStep(above));

        // systemd removes the directory of links with the last of them.
        bool IsOurs(string path) => layout.Units.Any(unit => path.StartsWith(layout.UnitPath(unit), StringComparison.Ordinal))
            || (path.EndsWith(".wants", StringComparison.Ordinal)
                && Directory.GetFileSystemEntries(path).All(link => layout.Units.Contains(Path.GetFileName(link), StringComparer.Ordinal)));
    }

    static bool IsLink(string directory) => new DirectoryInfo(directory).LinkTarget is not null;

    /// <summary>Ends the connections that are open, each of which is a service, and what systemd made for them.</summary>
    internal static void EndConnections(ISystemdManager systemd, InstanceLayout layout, List<PlanStep> steps)
    {
        if (systemd.List(layout.ConnectionPattern) is { Count: > 0 } connections)
            steps.Add(UnitStep.StopConnections(systemd, layout.ConnectionPattern, connections.Count));
        if (systemd.Load(layout.ConnectionSlice)?.Text("ActiveState") is "active")
            steps.Add(UnitStep.Stop(systemd, layout.ConnectionSlice));
    }

    /// <summary>Removes the directories that were made for a socket, as far as nothing else is in them; systemd does not remove them.</summary>
    /// <param name="made">The directories, from the one that holds the socket upwards.</param>
    /// <param name="socketPath">The socket, which goes.</param>
    /// <param name="steps">Where the steps go.</param>
    internal static void AddSocketDirectories(IEnumerable<string> made, string socketPath, List<PlanStep> steps)
    {
        var gone = socketPath;
        foreach (var directory in made.Where(Directory.Exists).TakeWhile(directory => Directory.EnumerateFileSystemEntries(directory).All(path => string.Equals(path, gone, StringComparison.Ordinal))))
        {
            steps.Add(new RemoveDirectoryStep(directory));
            gone = directory;
        }
    }

    /// <summary>Whether a container has the directory mounted, which would keep the old one when the instance is installed again.</summary>
    static bool IsMounted(string directory, InstanceLayout layout, InstanceState? successor, IReporter reporter)
    {
        if (!Directory.Exists(directory))
            return false;
        var containers = Containers(directory);
        if (containers.Count == 0)
            return false;
        var who = $"The directory {directory} stays: the container {string.Join(", ", containers)} has it mounted";
        reporter.Warning(successor is null
            ? $"{who}, and works on when '{layout.Name}' is installed again. If it is not to be, remove the directory when that has ended: rmdir {directory}"
            : $"{who}, and finds no server there any more. Start it anew with {Path.GetDirectoryName(successor.SocketPath)}, and remove the directory: rmdir {directory}");
        return true;
    }

    /// <summary>Whether a directory is one that an uninstall has left to the container that has it mounted.</summary>
    internal static bool IsLeft(string directory) => !Directory.EnumerateFileSystemEntries(directory).Any() && Containers(directory).Count > 0;

    // The server itself may have it mounted in its sandbox.
    static List<string> Containers(string directory) =>
        [.. MountTable.ProcessesWithMount(directory).Select(ContainerMembership.Of).OfType<ContainerMembership>().Select(container => container.Name ?? container.Id[..12])];

    /// <summary>Removes our files of configuration, and their directory when it was made for them and nothing else is in it.</summary>
    static void AddConfiguration(InstanceLayout layout, InstanceOrigin origin, List<PlanStep> steps, IReporter reporter)
    {
        var directory = layout.ConfigDirectory;
        if (!Directory.Exists(directory))
            return;
        if (IsLink(directory))
        {
            // What is behind it is somebody else's.
            reporter.Warning($"The link {directory} stays, and so do the files behind it.");
            return;
        }

        List<string> ours = [.. Directory.GetFiles(directory).Where(path => string.Equals(path, layout.ConfigPath, StringComparison.Ordinal) || string.Equals(path, layout.SysusersPath, StringComparison.Ordinal))];
        steps.AddRange(ours.Select(path => new RemoveFileStep(path)));
        if (Directory.GetFileSystemEntries(directory).Length > ours.Count)
            reporter.Warning($"The directory {directory} stays: it has other files than HsmRemote's.");
        else if (origin.Made.Contains(directory, StringComparer.Ordinal))
            steps.Add(new RemoveDirectoryStep(directory));
    }

    /// <summary>Removes the drop-ins of a unit and their directory, but for those that were there before the instance.</summary>
    /// <param name="unitPath">The unit's file.</param>
    /// <param name="origin">What was there; null: that is not known.</param>
    /// <param name="steps">Where the steps go.</param>
    /// <param name="reporter">Told what stays.</param>
    internal static void AddDropIns(string unitPath, InstanceOrigin? origin, List<PlanStep> steps, IReporter reporter)
    {
        var directory = $"{unitPath}.d";
        if (IsLink(directory))
        {
            // What is behind it is somebody else's.
            if (origin?.HasFound(directory) is not true)
                steps.Add(new RemoveFileStep(directory));
            return;
        }

        if (!Directory.Exists(directory))
            return;
        List<string> ours = [.. Directory.GetFiles(directory).Where(path => origin?.HasFound(path) is not true)];
        steps.AddRange(ours.Select(path => new RemoveFileStep(path)));
        if (origin?.HasFound(directory) is true)
            return;
        if (Directory.GetFileSystemEntries(directory).Length == ours.Count)
            steps.Add(new RemoveDirectoryStep(directory));
        else
            reporter.Warning($"The directory {directory} stays: it has other files than HsmRemote's.");
    }
}
