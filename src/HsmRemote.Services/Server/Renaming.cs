using System.Text.RegularExpressions;
using HsmRemote.Services.Plan;
using HsmRemote.Services.Systemd;

namespace HsmRemote.Services.Server;

/// <summary>An instance that gets another name. All that it is goes along; a socket at its default path gets the one of the new name.</summary>
/// <param name="From">Where it is so far.</param>
/// <param name="Former">The instance; null: a run that was cut short has left only some of its units.</param>
sealed record Renaming(InstanceLayout From, P11KitServer? Former)
{
    /// <summary>What an installation renames; null: nothing is asked for, or it has been done.</summary>
    /// <param name="servers">The instances that there are.</param>
    /// <param name="spec">What was given.</param>
    /// <param name="to">Where the instance is to be.</param>
    /// <param name="installed">What is there already.</param>
    /// <param name="reporter">Told when there is neither the one nor the other.</param>
    /// <exception cref="HsmRemoteException">The instance cannot get the name.</exception>
    internal static Renaming? Of(
        IReadOnlyList<P11KitServer> servers, P11KitServerSpec spec, InstanceLayout to, P11KitServer? installed, IReporter reporter)
    {
        if (spec.FormerName is not { } name)
            return null;
        InstanceRules.CheckName(name);
        if (string.Equals(name, to.Name, StringComparison.Ordinal))
            throw Invalid("that is the name that it is to get", "Give the name that it has.");
        if (spec.Adopt)
            throw Invalid("-Adopt takes over what is called so already", "Leave one of -FormerName and -Adopt out.");
        var from = new InstanceLayout(name, to.Scope);
        var all = servers.Where(s => string.Equals(s.Name, name, StringComparison.Ordinal)).ToList();
        var there = all.Find(s => s.Scope == to.Scope);
        var isOurs = ServerInventory.HasOurs(from);
        if (Adoption.Has(from))
            throw Invalid("it stands in for a service of that name, which comes back when it is uninstalled", $"Uninstall-P11KitServer {name}, and install '{to.Name}'.");
        if (there is { IsManaged: false } && !isOurs)
        {
            throw new HsmRemoteException(
                "NotManaged", FailureKind.InvalidOperation, $"'{name}' was not installed by HsmRemote, so it cannot be renamed: its unit is {there.UnitPath}.",
                $"Install '{to.Name}' without -FormerName, and remove '{name}' with what installed it (its package, for example).", name);
        }

        if (there is null && all is [var other, ..])
            throw Invalid($"it is of -Scope {other.Scope}", $"Rename it there first: -Scope {other.Scope}; then install it with -Scope {to.Scope}.");
        if (!isOurs)
        {
            if (installed is null)
                reporter.Warning($"There is no instance '{name}' that could be renamed: '{to.Name}' is a new one.");
            return null;
        }

        // A run that was cut short may have removed a unit of ours that systemd has loaded still.
        var former = there is { IsManaged: true } ? there : null;
        if (former is null && installed is null)
            throw Invalid("its units run no p11-kit server", $"Install it as it should be (Install-P11KitServer {name}), or remove it (Uninstall-P11KitServer {name}), first.");
        // A run that was cut short has neither enabled nor started it.
        if (installed is not null && (installed.Enabled || installed.State != P11KitServerState.Stopped))
        {
            throw new HsmRemoteException(
                "NameInUse", FailureKind.Exists, $"There is an instance '{to.Name}' already, so '{name}' cannot get its name.",
                $"Choose another -Name, or remove one of the two: Uninstall-P11KitServer {to.Name}.", to.Name);
        }

        return new(from, former);

        HsmRemoteException Invalid(string why, string remedy) => new(
            "FormerNameInvalid", FailureKind.InvalidArgument, $"'{name}' cannot be renamed to '{to.Name}': {why}.", remedy, name);
    }

    /// <summary>The instance as it is to be under its new name.</summary>
    internal P11KitServer? At(InstanceLayout to) =>
        Former is null || !string.Equals(Former.SocketPath, From.DefaultSocketPath, StringComparison.Ordinal) ? Former : Former with { SocketPath = to.DefaultSocketPath };

    /// <summary>The instances that a path is not to be taken from.</summary>
    internal IReadOnlyList<P11KitServer> Others(IReadOnlyList<P11KitServer> servers) => [.. servers.Where(s => s != Former)];

    /// <summary>What an administrator has added to the units.</summary>
    internal void AddDropIns(InstanceLayout to, IEnumerable<string> units, List<PlanStep> steps, IReporter reporter)
    {
        foreach (var (old, unit) in From.Units.Zip(to.Units).Where(pair => units.Contains(pair.Second, StringComparer.Ordinal)))
        {
            var directory = new DirectoryInfo($"{From.UnitPath(old)}.d");
            if (!directory.Exists)
                continue;
            if (directory.LinkTarget is not null)
            {
                reporter.Warning($"The drop-ins behind the link {directory.FullName} do not go along.");
                continue;
            }

            foreach (var file in directory.GetFiles().OrderBy(file => file.Name, StringComparer.Ordinal))
            {
                if (file.LinkTarget is not null)
                {
                    reporter.Warning($"The link {file.FullName} does not go along.");
                    continue;
                }

                var path = $"{to.UnitPath(unit)}.d/{file.Name}";
                var (before, after) = (AtomicFile.Read(path), AtomicFile.Read(file.FullName)!);
                if (after.IsSame(before))
                    continue;
                if (before is not null)
                {
                    reporter.Warning($"{path} is there and stays as it is: {file.FullName} does not go along.");
                    continue;
                }

                InstallPlanner.AddDirectories(Path.GetDirectoryName(path)!, steps);
                steps.Add(new WriteFileStep(path, null, after));
                if (Regex.IsMatch(UnitFile.TextOf(file.FullName), $@"(?<![\w.-]){Regex.Escape(From.Name)}(?![\w-])", RegexOptions.None, TimeSpan.FromSeconds(1)))
                    reporter.Warning($"{file.FullName} goes along as it is, and names '{From.Name}': see whether {path} is still right.");
            }
        }
    }
}
