using HsmRemote.Services.Native;
using HsmRemote.Services.Plan;

namespace HsmRemote.Services.Forwarding;

/// <summary>The plans of forwards under launchd. Made for macOS and not run there: the steps are tested on Linux, launchd is not.</summary>
static class LaunchdPlanner
{
    const string Launchctl = "launchctl";

    internal static async Task<IChangePlan> NewAsync(ForwardSettings wanted, CancellationToken cancellationToken)
    {
        ForwardRules.Check(wanted);
        var knownHosts = wanted.ColimaProfile is { } profile
            ? File.Exists(wanted.Layout.KnownHostsPath)
                ? await File.ReadAllTextAsync(wanted.Layout.KnownHostsPath, cancellationToken)
                : await Colima.KnownHostsAsync(profile, wanted.HostName, cancellationToken)
            : null;
        if (Missing(wanted, knownHosts).Count > 0)
        {
            using var reach = await ForwardReach.OpenAsync(wanted, knownHosts, cancellationToken);
            var far = new FarSide(reach.Forward);
            var end = await far.LookAsync(cancellationToken);
            ForwardRules.CheckEnd(wanted, end, isOurs: false);
            if (wanted.Direction == P11ForwardDirection.Push)
                await far.TryForwardAsync(end.Directory is not "missing", cancellationToken);
        }

        return Plan(wanted, knownHosts);
    }

    /// <summary>The files that are not as they should be, and the agent that runs them.</summary>
    internal static IChangePlan Plan(ForwardSettings wanted, string? knownHosts)
    {
        var layout = wanted.Layout;
        var agent = LaunchdAgent.Path(layout);
        var files = Missing(wanted, knownHosts);
        List<PlanStep> steps = [];
        if (files.Count > 0)
        {
            if (File.Exists(agent))
                steps.Add(Unload(layout));
            steps.AddRange(files.Prepend(Path.Combine(layout.StateDirectory, "state"))
                .Select(file => Path.GetDirectoryName(file)!).Distinct(StringComparer.Ordinal).Where(directory => !Directory.Exists(directory)).Select(directory => new PlainDirectoryStep(directory)));
            var contents = Contents(wanted, knownHosts);
            steps.AddRange(files.Select(file => new PlainFileStep(file, contents[file])));
            steps.Add(Load(layout));
        }

        return new ChangePlan(layout.Name, steps, new MemoryStream());
    }

    internal static async Task<IChangePlan> RemoveAsync(string name, IReporter reporter, CancellationToken cancellationToken)
    {
        List<PlanStep> steps = [];
        foreach (var layout in ForwardLayout.Both(name, P11KitServerScope.User).Where(layout => File.Exists(LaunchdAgent.Path(layout))))
        {
            steps.Add(Unload(layout));
            if (ForwardInventory.Read(layout) is { } forward)
                steps.AddRange(await ForwardRemains.StepsAsync(forward, reporter, cancellationToken));
            steps.AddRange(layout.Files.Append(layout.UnitPath).Append(LaunchdAgent.Path(layout)).Where(File.Exists).Select(file => new PlainFileStep(file, null)));
            steps.Add(new PlainDirectoryStep(layout.Directory, isRemoved: true));
            if (Directory.Exists(layout.StateDirectory))
                steps.Add(new PlainDirectoryStep(layout.StateDirectory, isRemoved: true));
        }

        return new ChangePlan(name, steps, new MemoryStream());
    }

    static Dictionary<string, string> Contents(ForwardSettings wanted, string? knownHosts)
    {
        var layout = wanted.Layout;
        Dictionary<string, string> contents = new(StringComparer.Ordinal)
        {
            [layout.TunnelPath] = ForwardUnit.Script("tunnel.sh"),
            [layout.EndPath] = ForwardUnit.Script("end.sh"),
            [layout.UnitPath] = ForwardUnit.Service(wanted),
            [LaunchdAgent.Path(layout)] = LaunchdAgent.PropertyList(wanted),
        };
        if (knownHosts is not null)
            contents[layout.KnownHostsPath] = knownHosts;
        return contents;
    }

    static List<string> Missing(ForwardSettings wanted, string? knownHosts) =>
        [.. Contents(wanted, knownHosts).Where(file => !File.Exists(file.Key) || !string.Equals(File.ReadAllText(file.Key), file.Value, StringComparison.Ordinal)).Select(file => file.Key)];

    static string Domain => $"gui/{Accounts.geteuid()}";

    static CommandStep Load(ForwardLayout layout) => new(
        new PlannedChange(ChangeKind.StartUnit, LaunchdAgent.Label(layout), $"Start the agent {LaunchdAgent.Label(layout)}"),
        [Launchctl, "bootstrap", Domain, LaunchdAgent.Path(layout)], [Launchctl, "bootout", $"{Domain}/{LaunchdAgent.Label(layout)}"]);

    static CommandStep Unload(ForwardLayout layout) => new(
        new PlannedChange(ChangeKind.StopUnit, LaunchdAgent.Label(layout), $"Stop the agent {LaunchdAgent.Label(layout)}"),
        [Launchctl, "bootout", $"{Domain}/{LaunchdAgent.Label(layout)}"], [Launchctl, "bootstrap", Domain, LaunchdAgent.Path(layout)]);

    /// <summary>A file of the user's own, with .NET's calls: those of Linux that AtomicFile makes are not there.</summary>
    sealed class PlainFileStep(string path, string? content) : PlanStep(new PlannedChange(
        content is null ? ChangeKind.RemoveFile : File.Exists(path) ? ChangeKind.ReplaceFile : ChangeKind.CreateFile, path,
        $"{(content is null ? "Remove" : File.Exists(path) ? "Replace" : "Create")} the file {path}"))
    {
        string? before;

        internal override Task ApplyAsync(CancellationToken cancellationToken)
        {
            before = File.Exists(path) ? File.ReadAllText(path) : null;
            Put(content);
            return Task.CompletedTask;
        }

        internal override Task UndoAsync()
        {
            Put(before);
            return Task.CompletedTask;
        }

        void Put(string? text)
        {
            if (text is null)
            {
                File.Delete(path);
                return;
            }

            var beside = $"{path}.hsmremote";
            File.WriteAllText(beside, text);
            File.Move(beside, path, overwrite: true);
        }
    }

    /// <summary>A directory of the user's own is made, or removed with what the tunnel wrote to it.</summary>
    sealed class PlainDirectoryStep(string path, bool isRemoved = false) : PlanStep(new PlannedChange(
        isRemoved ? ChangeKind.RemoveDirectory : ChangeKind.CreateDirectory, path, $"{(isRemoved ? "Remove" : "Create")} the directory {path}"))
    {
        internal override Task ApplyAsync(CancellationToken cancellationToken)
        {
            if (isRemoved)
                Directory.Delete(path, recursive: true);
            else
                Directory.CreateDirectory(path);
            return Task.CompletedTask;
        }

        internal override Task UndoAsync()
        {
            if (isRemoved)
                Directory.CreateDirectory(path);
            else if (Directory.Exists(path))
                Directory.Delete(path, recursive: true);
            return Task.CompletedTask;
        }
    }
}
