using HsmRemote.Services.Plan;
using HsmRemote.Services.Systemd;

namespace HsmRemote.Services.Server;

/// <summary>What has to go for an instance to be gone without trace. Nothing of it there: nothing to do.</summary>
static class UninstallPlanner
{
    internal static IChangePlan Plan(ISystemdManager systemd, InstanceLayout layout, IReporter reporter)
    {
        var installed = ServerInventory.Find(systemd, layout.Name, reporter);
        var units = new[] { layout.SocketUnitPath, layout.ServiceTemplatePath }.Where(ServerInventory.IsOurs).ToList();
        // A run that was cut short may have removed a unit of ours that systemd has loaded still.
        if (installed is { IsManaged: false } && units.Count == 0)
        {
            throw new HsmRemoteException(
                "NotManaged", FailureKind.InvalidOperation, $"'{layout.Name}' was not installed by HsmRemote: its unit is {installed.UnitPath}.",
                "Remove it with what installed it (its package, for example).", layout.Name);
        }

        List<PlanStep> steps = [];
        if (units.Count == 0)
        {
            // A run that was cut short may have left just this to do: systemd has a unit in memory whose file is gone.
            if (!File.Exists(layout.SocketUnitPath) && systemd.Load(layout.SocketUnit)?.Text("FragmentPath") is { } path
                && string.Equals(path, layout.SocketUnitPath, StringComparison.Ordinal))
                steps.Add(UnitStep.Reload(systemd));
            return new ChangePlan(layout.Name, steps, systemd);
        }

        if (systemd.Load(layout.SocketUnit)?.Text("ActiveState") is not (null or "inactive" or "failed"))
            steps.Add(UnitStep.Stop(systemd, layout.SocketUnit));
        if (systemd.List(layout.ConnectionPattern) is { Count: > 0 } connections)
            steps.Add(UnitStep.StopConnections(systemd, layout.ConnectionPattern, connections.Count));
        if (systemd.Load(layout.ConnectionSlice)?.Text("ActiveState") is "active")
            steps.Add(UnitStep.Stop(systemd, layout.ConnectionSlice));
        if (systemd.FileState(layout.SocketUnit) is "enabled")
            steps.Add(UnitStep.Disable(systemd, layout.SocketUnit));

        if (InstanceGroup.Owned(layout) is { } owned && InstanceGroup.Release(systemd, layout, owned, reporter) is { } release)
            steps.Add(release);
        if (installed?.SocketPath is { } socketPath && RuntimeDirectory(socketPath) is { } directory)
            steps.Add(new RemoveDirectoryStep(directory));
        AddDirectory(layout.ConfigDirectory, [layout.ConfigPath, layout.SysusersPath], steps, reporter);

        // The units go last: as long as one is there, a run that was cut short is found and finished by the next.
        foreach (var unit in units)
            AddDirectory($"{unit}.d", null, steps, reporter);
        steps.AddRange(units.Select(path => new RemoveFileStep(path)));
        steps.Add(UnitStep.Reload(systemd));
        return new ChangePlan(layout.Name, steps, systemd);
    }

    /// <summary>The directory that systemd made for a socket, if it has nothing else in it; systemd does not remove it.</summary>
    internal static string? RuntimeDirectory(string socketPath)
    {
        var directory = Path.GetDirectoryName(socketPath)!;
        return directory.StartsWith("/run/", StringComparison.Ordinal) && Directory.Exists(directory)
            && Directory.EnumerateFileSystemEntries(directory).All(path => string.Equals(path, socketPath, StringComparison.Ordinal))
            ? directory : null;
    }

    /// <summary>Removes files of a directory, and the directory when nothing else is in it.</summary>
    /// <param name="directory">The directory; it may be missing.</param>
    /// <param name="ours">Which files; null for all of them.</param>
    /// <param name="steps">Where the steps go.</param>
    /// <param name="reporter">Told what stays.</param>
    static void AddDirectory(string directory, string[]? ours, List<PlanStep> steps, IReporter reporter)
    {
        if (!Directory.Exists(directory))
            return;
        if (new DirectoryInfo(directory).LinkTarget is not null)
        {
            // What is behind it is somebody else's; a link of a directory that is wholly ours goes.
            if (ours is null)
                steps.Add(new RemoveFileStep(directory));
            else
                reporter.Warning($"The link {directory} stays, and so do the files behind it.");
            return;
        }

        var files = Directory.GetFiles(directory).Where(path => ours is null || ours.Contains(path, StringComparer.Ordinal)).ToList();
        steps.AddRange(files.Select(path => new RemoveFileStep(path)));
        if (Directory.GetFileSystemEntries(directory).Length == files.Count)
            steps.Add(new RemoveDirectoryStep(directory));
        else
            reporter.Warning($"The directory {directory} stays: it has other files than HsmRemote's.");
    }
}
