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

    readonly ISystemdManager systemd;
    readonly InstanceLayout layout;
    readonly string[] enabled;
    readonly string[] started;
    readonly bool hadConfig;

    Adoption(ISystemdManager systemd, InstanceLayout layout, string[] enabled, string[] started, bool hadConfig)
    {
        this.systemd = systemd;
        this.layout = layout;
        this.enabled = enabled;
        this.started = started;
        this.hadConfig = hadConfig;
    }

    static string Directory(InstanceLayout layout) => $"{layout.ConfigDirectory}/before";

    static string StatePath(InstanceLayout layout) => $"{Directory(layout)}/state";

    internal static bool Has(InstanceLayout layout) => File.Exists(StatePath(layout));

    /// <summary>What an installation takes over, or null when it takes over nothing.</summary>
    /// <exception cref="HsmRemoteException">There is nothing to take over, or a unit that cannot be kept.</exception>
    internal static Adoption? Of(ISystemdManager systemd, InstanceLayout layout, P11KitServer? installed, bool isAskedFor)
    {
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
            File.Exists(layout.ConfigPath));
    }

    /// <summary>What <see cref="Save"/> wrote, or null when the instance was not taken over.</summary>
    internal static Adoption? Read(ISystemdManager systemd, InstanceLayout layout)
    {
        if (!Has(layout))
            return null;
        var state = EnvironmentFile.Parse(File.ReadAllText(StatePath(layout)));
        return new(systemd, layout, Words(EnabledKey), Words(StartedKey), state[ConfigKey] is "yes");

        string[] Words(string key) => (state[key] ?? "").Split(' ', StringSplitOptions.RemoveEmptyEntries);
    }

    internal bool WasEnabled(string unit) => enabled.Contains(unit, StringComparer.Ordinal);

    /// <summary>Whether a unit file of before is kept.</summary>
    internal bool HasFile(string unit) => File.Exists(Kept(unit));

    /// <summary>Keeps what is there.</summary>
    internal IEnumerable<PlanStep> Save()
    {
        yield return new CreateDirectoryStep(Directory(layout));
        foreach (var unit in layout.Units)
        {
            if (AtomicFile.Read(layout.UnitPath(unit)) is { } image)
                yield return new WriteFileStep(Kept(unit), null, image);
        }

        var text = new StringBuilder("# What was here before HsmRemote took the instance over. Uninstall-P11KitServer brings it back.\n")
            .Append($"{EnabledKey}=\"{string.Join(' ', enabled)}\"\n")
            .Append($"{StartedKey}=\"{string.Join(' ', started)}\"\n")
            .Append($"{ConfigKey}={(hadConfig ? "yes" : "no")}\n");
        yield return new WriteFileStep(StatePath(layout), null, FileImage.Ours(text.ToString(), layout.Scope));
    }

    /// <summary>Puts the unit files of before back, and removes what was kept, and the configuration unless it was there.</summary>
    internal IEnumerable<PlanStep> Restore()
    {
        foreach (var unit in layout.Units.Where(HasFile))
        {
            yield return new WriteFileStep(layout.UnitPath(unit), AtomicFile.Read(layout.UnitPath(unit)), AtomicFile.Read(Kept(unit))!);
            yield return new RemoveFileStep(Kept(unit));
        }

        yield return new RemoveFileStep(StatePath(layout));
        yield return new RemoveDirectoryStep(Directory(layout));
        if (File.Exists(layout.SysusersPath))
            yield return new RemoveFileStep(layout.SysusersPath);
        if (!hadConfig)
        {
            yield return new RemoveFileStep(layout.ConfigPath);
            yield return new RemoveDirectoryStep(layout.ConfigDirectory);
        }
    }

    /// <summary>Enables what was enabled.</summary>
    internal IEnumerable<PlanStep> Enable() => enabled.Where(unit => systemd.FileState(unit) is not "enabled").Select(unit => UnitStep.Enable(systemd, unit));

    /// <summary>Starts what was started, once systemd has read the units again.</summary>
    internal IEnumerable<PlanStep> Start() => started.Select(unit => UnitStep.Start(systemd, unit));

    string Kept(string unit) => $"{Directory(layout)}/{unit}";
}
