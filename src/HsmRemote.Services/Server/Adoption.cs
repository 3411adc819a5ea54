using System.Text;
using HsmRemote.Services.Plan;
using HsmRemote.Services.Systemd;

namespace HsmRemote.Services.Server;

/// <summary>
/// What was there before HsmRemote took an instance over that something else had installed. Unit files that an administrator
/// wrote are kept in a directory beside the configuration; those of a package stay where they are, below ours.
/// </summary>
sealed class Adoption
{
    const string EnabledKey = "Enabled";
    const string StartedKey = "Started";
    const string ConfigKey = "HadConfig";
    const string PathKey = "SocketPath";
    const string ModeKey = "SocketMode";
    const string GroupKey = "SocketGroup";

    readonly ISystemdManager systemd;
    readonly InstanceLayout layout;
    readonly string[] enabled;
    readonly string[] started;
    readonly bool hadConfig;
    readonly string? socketPath;
    readonly string? socketMode;
    readonly string? group;
    readonly string[] dropIns;

    Adoption(
        ISystemdManager systemd, InstanceLayout layout, string[] enabled, string[] started, bool hadConfig, string? socketPath, string? socketMode, string? group, string[] dropIns)
    {
        this.dropIns = dropIns;
        this.systemd = systemd;
        this.layout = layout;
        this.enabled = enabled;
        this.started = started;
        this.hadConfig = hadConfig;
        this.socketPath = socketPath;
        this.socketMode = socketMode;
        this.group = group;
    }

    /// <summary>Where it is kept.</summary>
    internal static string Directory(InstanceLayout layout) => $"{layout.ConfigDirectory}/before";

    // Beside the units, in a directory that stays: so it can go last, when all that it tells of has gone.
    static string StatePath(InstanceLayout layout) => layout.UnitPath($"{layout.Name}.before");

    internal static bool Has(InstanceLayout layout) => File.Exists(StatePath(layout));

    /// <summary>What an installation takes over, or has taken over, or null when it takes over nothing.</summary>
    /// <exception cref="HsmRemoteException">There is nothing to take over, or a unit that cannot be kept.</exception>
    internal static Adoption? Of(ISystemdManager systemd, InstanceLayout layout, P11KitServer? installed, bool isAskedFor)
    {
        // Kept already: nothing of it is lost when a run was cut short, which the next one finishes.
        if (Read(systemd, layout) is { } kept)
            return kept;
        if (!isAskedFor || installed is { IsManaged: true })
            return null;
        if (installed is null)
        {
            throw new HsmRemoteException(
                "NothingToAdopt", FailureKind.NotFound, $"There is no p11-kit server '{layout.Name}' to take over.",
                "Get-P11KitServer lists those that are there. Without -Adopt, a new one is installed.", layout.Name);
        }

        foreach (var path in layout.Units.Select(layout.UnitPath))
        {
            if (new FileInfo(path).LinkTarget is { } target and not "/dev/null")
            {
                throw new HsmRemoteException(
                    "AdoptLinked", FailureKind.InvalidOperation, $"'{layout.Name}' cannot be taken over: its unit {path} is a link to {target}.",
                    $"Put the file itself there: cp --remove-destination {target} {path}", path);
            }
        }

        return new(
            systemd, layout,
            [.. layout.Units.Where(unit => systemd.FileState(unit) is "enabled")],
            [.. new[] { layout.SocketUnit, layout.Service }.Where(unit => systemd.Load(unit)?.Text("ActiveState") is "active")],
            File.Exists(layout.ConfigPath), installed.SocketPath, installed.SocketMode, installed.Group, CommandDropIns(systemd, layout, installed));
    }

    /// <summary>The drop-ins with a command: left in place, they would have it run instead of ours.</summary>
    /// <exception cref="HsmRemoteException">One of them is not the administrator's file in a unit's own directory.</exception>
    static string[] CommandDropIns(ISystemdManager systemd, InstanceLayout layout, P11KitServer installed)
    {
        var own = layout.Units.SelectMany(unit => System.IO.Directory.Exists(DropIns(layout, unit)) ? System.IO.Directory.GetFiles(DropIns(layout, unit), "*.conf") : []);
        string[] found = [.. ServerInventory.LoadService(systemd, installed.ServiceUnit)!.Texts("DropInPaths").Union(own, StringComparer.Ordinal).Where(path => UnitFile.ValueOf(path, "ExecStart") is not null)];
        foreach (var path in found)
        {
            if (new FileInfo(path).LinkTarget is not null || !layout.Units.Any(unit => string.Equals(Path.GetDirectoryName(path), DropIns(layout, unit), StringComparison.Ordinal)))
            {
                throw new HsmRemoteException(
                    "AdoptDropIn", FailureKind.InvalidOperation, $"'{layout.Name}' cannot be taken over: the drop-in {path} says what its service runs, and is not a file of {layout.UnitDirectory} that could be kept.",
                    "Remove it, or put what it says into the unit itself.", path);
            }
        }

        return found;
    }

    static string DropIns(InstanceLayout layout, string unit) => $"{layout.UnitPath(unit)}.d";

    /// <summary>What <see cref="Save"/> wrote, or null when the instance was not taken over.</summary>
    internal static Adoption? Read(ISystemdManager systemd, InstanceLayout layout)
    {
        if (!Has(layout))
            return null;
        var state = EnvironmentFile.Parse(File.ReadAllText(StatePath(layout)));
        string[] moved = [.. layout.Units.SelectMany(unit => System.IO.Directory.Exists($"{Directory(layout)}/{unit}.d")
            ? System.IO.Directory.GetFiles($"{Directory(layout)}/{unit}.d").Select(path => $"{DropIns(layout, unit)}/{Path.GetFileName(path)}") : [])];
        return new(systemd, layout, Words(EnabledKey), Words(StartedKey), state[ConfigKey] is "yes", Value(PathKey), Value(ModeKey), Value(GroupKey), moved);

        string? Value(string key) => state[key] is { Length: > 0 } value ? value : null;

        string[] Words(string key) => (state[key] ?? "").Split(' ', StringSplitOptions.RemoveEmptyEntries);
    }

    internal bool WasEnabled(string unit) => enabled.Contains(unit, StringComparer.Ordinal);

    /// <summary>Whether a unit file of before is kept.</summary>
    internal bool HasFile(string unit) => File.Exists(Kept(unit));

    /// <summary>Whether a drop-in is kept beside the units, and out of effect.</summary>
    internal bool Moves(string dropIn) => dropIns.Contains(dropIn, StringComparer.Ordinal);

    /// <summary>Whether a directory comes and goes with what was running, and is not made for the instance.</summary>
    internal bool NeedsDirectory(string directory) => started.Length > 0 && socketPath?.StartsWith($"{directory}/", StringComparison.Ordinal) is true;

    /// <summary>What is taken over as it was: of a server that makes its socket by itself, the access to that is not known once it is stopped.</summary>
    internal P11KitServer Before(P11KitServer installed) => installed with { SocketMode = socketMode ?? installed.SocketMode, Group = group ?? installed.Group };

    /// <summary>Keeps what is there, as far as it is not kept already.</summary>
    internal IEnumerable<PlanStep> Save()
    {
        foreach (var directory in KeptDropInDirectories.Where(directory => !System.IO.Directory.Exists(directory)))
            yield return new CreateDirectoryStep(directory);
        foreach (var path in dropIns)
        {
            var kept = AtomicFile.Read(KeptDropIn(path));
            if (AtomicFile.Read(path) is { } image && !image.IsSame(kept))
                yield return new WriteFileStep(KeptDropIn(path), kept, image);
        }

        foreach (var unit in layout.Units.Where(unit => !ServerInventory.IsOurs(layout.UnitPath(unit))))
        {
            var kept = AtomicFile.Read(Kept(unit));
            if (AtomicFile.Read(layout.UnitPath(unit)) is { } image && !image.IsSame(kept))
                yield return new WriteFileStep(Kept(unit), kept, image);
        }

        if (!Has(layout))
            yield return new WriteFileStep(StatePath(layout), null, FileImage.Ours(State(), layout.Scope));
        foreach (var path in dropIns.Where(File.Exists))
            yield return new RemoveFileStep(path);
    }

    string State() =>
        new StringBuilder("# What was here before HsmRemote took the instance over. Uninstall-P11KitServer brings it back.\n")
            .Append($"{EnabledKey}=\"{string.Join(' ', enabled)}\"\n")
            .Append($"{StartedKey}=\"{string.Join(' ', started)}\"\n")
            .Append($"{ConfigKey}={(hadConfig ? "yes" : "no")}\n")
            .Append($"{PathKey}={EnvironmentFile.Quote(socketPath ?? "")}\n")
            .Append($"{ModeKey}={socketMode}\n")
            .Append($"{GroupKey}={EnvironmentFile.Quote(group ?? "")}\n")
            .ToString();

    /// <summary>Puts the unit files of before back.</summary>
    internal IEnumerable<PlanStep> Restore()
    {
        foreach (var unit in layout.Units.Where(HasFile))
        {
            var there = AtomicFile.Read(layout.UnitPath(unit));
            var kept = AtomicFile.Read(Kept(unit))!;
            if (!kept.IsSame(there))
                yield return new WriteFileStep(layout.UnitPath(unit), there, kept);
        }

        foreach (var directory in dropIns.Select(path => Path.GetDirectoryName(path)!).Distinct(StringComparer.Ordinal).Where(directory => !System.IO.Directory.Exists(directory)))
            yield return new CreateDirectoryStep(directory);
        foreach (var path in dropIns)
        {
            var there = AtomicFile.Read(path);
            var kept = AtomicFile.Read(KeptDropIn(path))!;
            if (!kept.IsSame(there))
                yield return new WriteFileStep(path, there, kept);
        }
    }

    /// <summary>
    /// Removes what was kept, and the configuration unless it was there. It comes last, and what tells of it at the very end: a
    /// run that was cut short is found, and finished by the next.
    /// </summary>
    internal IEnumerable<PlanStep> Forget()
    {
        if (File.Exists(layout.SysusersPath))
            yield return new RemoveFileStep(layout.SysusersPath);
        if (!hadConfig && File.Exists(layout.ConfigPath))
            yield return new RemoveFileStep(layout.ConfigPath);
        foreach (var unit in layout.Units.Where(HasFile))
            yield return new RemoveFileStep(Kept(unit));
        foreach (var path in dropIns)
            yield return new RemoveFileStep(KeptDropIn(path));
        if (System.IO.Directory.Exists(Directory(layout)))
        {
            foreach (var directory in System.IO.Directory.GetDirectories(Directory(layout)))
                yield return new RemoveDirectoryStep(directory);
            yield return new RemoveDirectoryStep(Directory(layout));
        }

        if (!hadConfig && System.IO.Directory.Exists(layout.ConfigDirectory))
            yield return new RemoveDirectoryStep(layout.ConfigDirectory);
        yield return new RemoveFileStep(StatePath(layout));
    }

    /// <summary>Enables what was enabled.</summary>
    internal IEnumerable<PlanStep> Enable() => enabled.Where(unit => systemd.FileState(unit) is not "enabled").Select(unit => UnitStep.Enable(systemd, unit));

    /// <summary>Starts what was started, once systemd has read the units again.</summary>
    internal IEnumerable<PlanStep> Start() => started.Select(unit => UnitStep.Start(systemd, unit));

    string Kept(string unit) => $"{Directory(layout)}/{unit}";

    IEnumerable<string> KeptDropInDirectories => dropIns.Select(path => Path.GetDirectoryName(KeptDropIn(path))!).Distinct(StringComparer.Ordinal);

    string KeptDropIn(string path) => $"{Directory(layout)}/{Path.GetFileName(Path.GetDirectoryName(path))}/{Path.GetFileName(path)}";
}
