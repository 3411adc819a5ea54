using HsmRemote.Services.Plan;
using HsmRemote.Services.Systemd;

namespace HsmRemote.Services.Server;

/// <summary>What has to go for an instance to be gone without trace. Nothing of it there: nothing to do.</summary>
static class UninstallPlanner
{
    internal static IChangePlan Plan(ISystemdManager systemd, InstanceLayout layout, IReporter reporter)
    {
        var installed = ServerInventory.Find(systemd, layout.Name, reporter);
        if (installed is { IsManaged: false })
        {
            throw new HsmRemoteException(
                "NotManaged", FailureKind.InvalidOperation, $"'{layout.Name}' was not installed by HsmRemote: its unit is {installed.UnitPath}.",
                "Remove it with what installed it (its package, for example).", layout.Name);
        }

        List<PlanStep> steps = [];
        var units = new[] { layout.SocketUnitPath, layout.ServiceTemplatePath }.Where(ServerInventory.IsOurs).ToList();
        if (units.Count == 0)
            return new ChangePlan(layout.Name, steps, systemd);

        if (systemd.Load(layout.SocketUnit)?.Text("ActiveState") is not (null or "inactive" or "failed"))
            steps.Add(new StopUnitStep(systemd, layout.SocketUnit));
        if (systemd.List(layout.ConnectionPattern) is { Count: > 0 } connections)
            steps.Add(new StopConnectionsStep(systemd, layout.ConnectionPattern, connections.Count));
        if (systemd.FileState(layout.SocketUnit) is "enabled")
            steps.Add(new DisableUnitStep(systemd, layout.SocketUnit));

        AddDirectory(layout.ConfigDirectory, Path.GetFileName(layout.ConfigPath), steps);
        if (Directory.Exists(layout.ConfigDirectory) && Directory.EnumerateFileSystemEntries(layout.ConfigDirectory).Any(IsNotConfig))
            reporter.Warning($"The directory {layout.ConfigDirectory} stays: it has other files than HsmRemote's.");
        if (installed?.SocketPath is { } socketPath && RuntimeDirectory(socketPath) is { } directory)
            steps.Add(new RemoveDirectoryStep(directory));
        if (InstanceGroup.Owned(layout) is { } group)
        {
            if (InstanceGroup.Removable(systemd, layout, group, reporter) is { } removable)
                steps.Add(new RemoveGroupStep(removable));
            steps.Add(new RemoveFileStep(layout.SysusersPath));
        }

        // The units go last: as long as one is there, a run that was cut short is found and finished by the next.
        foreach (var unit in units)
            AddDirectory($"{unit}.d", "*", steps);
        steps.AddRange(units.Select(path => new RemoveFileStep(path)));
        steps.Add(new ReloadManagerStep(systemd));
        return new ChangePlan(layout.Name, steps, systemd);

        bool IsNotConfig(string path) => !string.Equals(path, layout.ConfigPath, StringComparison.Ordinal);
    }

    /// <summary>The directory that systemd made for a socket, if it has nothing else in it; systemd does not remove it.</summary>
    internal static string? RuntimeDirectory(string socketPath)
    {
        var directory = Path.GetDirectoryName(socketPath)!;
        return directory.StartsWith("/run/", StringComparison.Ordinal) && Directory.Exists(directory)
            && Directory.EnumerateFileSystemEntries(directory).All(path => string.Equals(path, socketPath, StringComparison.Ordinal))
            ? directory : null;
    }

    /// <summary>A directory's files of a pattern, and itself when nothing else is in it.</summary>
    static void AddDirectory(string directory, string pattern, List<PlanStep> steps)
    {
        if (!Directory.Exists(directory))
            return;
        var files = Directory.GetFiles(directory, pattern);
        steps.AddRange(files.Select(path => new RemoveFileStep(path)));
        if (Directory.GetFileSystemEntries(directory).Length == files.Length)
            steps.Add(new RemoveDirectoryStep(directory));
    }
}
