using System.Collections.Frozen;
using System.Diagnostics.CodeAnalysis;
using HsmRemote.Services.Native;

namespace HsmRemote.Services.Systemd;

/// <summary>The manager of system units, or of those of the caller's own user. For one thread at a time.</summary>
interface ISystemdManager : IDisposable
{
    /// <summary>Whose units it manages.</summary>
    P11KitServerScope Scope { get; }

    /// <summary>systemd's version, or 0 when it does not say.</summary>
    int Version { get; }

    /// <summary>Reads the unit files again (systemctl daemon-reload).</summary>
    void Reload();

    /// <summary>Makes a unit start with the machine.</summary>
    void Enable(string unit);

    /// <summary>The reverse of <see cref="Enable"/>.</summary>
    void Disable(string unit);

    /// <summary>Starts a unit and waits for the result.</summary>
    void Start(string unit, CancellationToken cancellationToken);

    /// <summary>Restarts a unit, or starts it, and waits for the result.</summary>
    void Restart(string unit, CancellationToken cancellationToken);

    /// <summary>Stops a unit and waits for the result.</summary>
    void Stop(string unit, CancellationToken cancellationToken);

    /// <summary>Forgets that units of a pattern failed.</summary>
    void ResetFailed(string pattern);

    /// <summary>The units whose names fit a pattern and that are not at rest: active, on the way, or failed.</summary>
    IReadOnlyList<string> List(string pattern);

    /// <summary>The processes of a unit, those of its own children included; none when it does not run.</summary>
    IReadOnlyList<int> Processes(string unit);

    /// <summary>The state of enablement: enabled, disabled, static, masked …; empty when there is no such file.</summary>
    string FileState(string unit);

    /// <summary>The properties of a unit and of its type, good until this is disposed; null when no such unit can be loaded.</summary>
    UnitProperties? Load(string unit);
}

/// <summary>The properties of a unit, by the names that org.freedesktop.systemd1(5) gives them; each is asked for when it is read.</summary>
sealed class UnitProperties(Func<string, object?> get)
{
    internal string Text(string name) => get(name) as string ?? "";

    internal bool Flag(string name) => get(name) is true;

    internal uint? Number(string name) => get(name) as uint?;

    /// <summary>A 64-bit number; null where systemd says that it is not set.</summary>
    internal ulong? Large(string name) => get(name) is ulong value and not ulong.MaxValue ? value : null;

    /// <summary>An array of strings.</summary>
    internal IEnumerable<string> Texts(string name) => get(name) is List<object?> texts ? texts.OfType<string>() : [];

    /// <summary>An array of structures, each as the list of its members.</summary>
    internal IEnumerable<IReadOnlyList<object?>> Rows(string name) => get(name) is List<object?> rows ? rows.OfType<List<object?>>() : [];
}

/// <summary>systemd's manager over D-Bus, org.freedesktop.systemd1(5).</summary>
sealed class SystemdManager(P11KitServerScope scope = P11KitServerScope.System) : ISystemdManager
{
    const string Destination = "org.freedesktop.systemd1";
    const string ManagerPath = "/org/freedesktop/systemd1";
    const int ExplainingLines = 5;
    const string ManagerInterface = "org.freedesktop.systemd1.Manager";

    // The properties of the interface that every unit has; the others are those of its type.
    static readonly FrozenSet<string> OfEveryUnit = FrozenSet.Create(
        StringComparer.Ordinal, "LoadState", "ActiveState", "FragmentPath", "UnitFileState", "NeedDaemonReload", "DropInPaths");

    static readonly TimeSpan JournalPause = TimeSpan.FromMilliseconds(40);

    readonly SystemBus bus = scope == P11KitServerScope.User ? SystemBus.OpenUser() : SystemBus.Open();
    bool subscribed;

    public P11KitServerScope Scope => scope;

    // As '257.13-1~deb13u1'.
    public int Version =>
        int.TryParse(string.Concat(((string)Property(ManagerPath, ManagerInterface, "Version")!).TakeWhile(char.IsAsciiDigit)), out var version) ? version : 0;

    public void Reload() => Manager("Reload");

    // runtime: false, force: false.
    public void Enable(string unit) => Manager("EnableUnitFiles", new[] { unit }, false, false);

    public void Disable(string unit) => Manager("DisableUnitFiles", new[] { unit }, false);

    public void Start(string unit, CancellationToken cancellationToken) => RunJob("StartUnit", unit, cancellationToken);

    public void Restart(string unit, CancellationToken cancellationToken) => RunJob("RestartUnit", unit, cancellationToken);

    public void Stop(string unit, CancellationToken cancellationToken)
    {
        try
        {
            RunJob("StopUnit", unit, cancellationToken);
        }
        catch (SystemBusException e) when (IsNoSuchUnit(e))
        {
            // A unit that systemd does not have loaded is stopped.
        }
    }

    public void ResetFailed(string pattern)
    {
        foreach (var unit in List(pattern))
        {
            try
            {
                Manager("ResetFailedUnit", unit);
            }
            catch (SystemBusException e) when (IsNoSuchUnit(e))
            {
                // It was collected in between.
            }
        }
    }

    public IReadOnlyList<string> List(string pattern) =>
        // Each row: name, description, load state, active state, …
        [.. Rows(Manager("ListUnitsByPatterns", Array.Empty<string>(), new[] { pattern }))
            .Where(row => row[3] is not "inactive")
            .Select(row => (string)row[0]!)];

    public IReadOnlyList<int> Processes(string unit)
    {
        try
        {
            // Each row: control group, process, command line.
            return [.. Rows(Manager("GetUnitProcesses", unit)).Select(row => (int)(uint)row[1]!)];
        }
        catch (SystemBusException e) when (IsNoSuchUnit(e))
        {
            return [];
        }
    }

    public string FileState(string unit)
    {
        try
        {
            return (string)Manager("GetUnitFileState", unit)[0]!;
        }
        catch (SystemBusException e) when (IsNoSuchUnit(e) || IsNoSuchFile(e))
        {
            return "";
        }
    }

    public UnitProperties? Load(string unit)
    {
        // The path makes systemd load the unit. All the properties at once would cost it several times what the few that are
        // read do: some of them are worked out when they are asked for.
        var path = UnitPath(unit);
        var type = char.ToUpperInvariant(unit[unit.LastIndexOf('.') + 1]) + unit[(unit.LastIndexOf('.') + 2)..];
        var properties = new UnitProperties(name => Property(path, $"{Destination}.{(OfEveryUnit.Contains(name) ? "Unit" : type)}", name));
        return properties.Text("LoadState") is "loaded" ? properties : null;
    }

    public void Dispose() => bus.Dispose();

    object? Property(string path, string interfaceName, string name)
    {
        try
        {
            return bus.Call(Destination, path, "org.freedesktop.DBus.Properties", "Get", interfaceName, name)[0];
        }
        catch (SystemBusException e)
        {
            throw Refused($"{name} of {path[(path.LastIndexOf('/') + 1)..]}", e);
        }
    }

    /// <summary>Queues a job and waits until systemd says how it ended: the call itself only says that it is queued.</summary>
    void RunJob(string method, string unit, CancellationToken cancellationToken)
    {
        if (!subscribed)
        {
            // Without a bus between, signals come unasked.
            if (scope == P11KitServerScope.System)
                bus.Call("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "AddMatch",
                    $"type='signal',sender='{Destination}',interface='{ManagerInterface}',member='JobRemoved'");
            Manager("Subscribe");
            subscribed = true;
        }

        var started = DateTimeOffset.UtcNow;
        var job = (string)Manager(method, unit, "replace")[0]!;
        while (true)
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (bus.NextSignal(ManagerInterface, "JobRemoved", TimeSpan.FromMilliseconds(100)) is not [_, string removed, _, string result])
                continue;
            if (!string.Equals(removed, job, StringComparison.Ordinal))
                continue;
            if (result is not "done")
                throw new SystemBusException($"{Destination}.JobFailed", Explain(unit, result, started));
            return;
        }
    }

    string Explain(string unit, string result, DateTimeOffset started)
    {
        var cause = Load(unit)?.Text("Result") is { Length: > 0 } text and not "success" ? $", result {text}" : "";
        // The lines come to the journal a moment after the job has ended, systemd's own first.
        var query = new JournalQuery(other => string.Equals(other, unit, StringComparison.Ordinal), ExplainingLines)
        {
            Units = [unit], UserId = scope == P11KitServerScope.User ? Accounts.geteuid() : null, Since = started, SystemdPriority = UnitJournal.Notice,
        };
        IReadOnlyList<JournalLine> lines = [];
        for (var i = 0; i < 50 && !lines.Any(line => line.ProcessId is not (null or 1)); i++)
        {
            Thread.Sleep(JournalPause);
            lines = UnitJournal.Read(query);
        }

        return $"its job ended with '{result}'{cause}; "
            + (lines.Count > 0
                ? $"its journal: {string.Join(" | ", lines.Select(line => line.Message))}"
                : $"'{SystemdTools.Journalctl(scope)} -u {unit}' has the details");
    }

    // As sd_bus_path_encode(3) does it.
    static string UnitPath(string unit) => $"{ManagerPath}/unit/" + string.Concat(unit.Select((c, i) =>
        char.IsAsciiLetter(c) || (i > 0 && char.IsAsciiDigit(c)) ? $"{c}" : $"_{(int)c:x2}"));

    /// <exception cref="SystemBusException">There is no such unit or file.</exception>
    /// <exception cref="HsmRemoteException">systemd refuses, for another reason.</exception>
    List<object?> Manager(string method, params ReadOnlySpan<object> arguments)
    {
        try
        {
            return bus.Call(Destination, ManagerPath, ManagerInterface, method, arguments);
        }
        catch (SystemBusException e) when (!IsNoSuchUnit(e) && !IsNoSuchFile(e))
        {
            throw Refused(method, e);
        }
    }

    static HsmRemoteException Refused(string what, SystemBusException e)
    {
        var denied = e.Name is "org.freedesktop.DBus.Error.AccessDenied" or "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired";
        return new HsmRemoteException(
            "SystemdRefused", denied ? FailureKind.PermissionDenied : FailureKind.Unavailable, $"systemd's manager refused {what}: {e.Message.TrimEnd('.')}.",
            denied ? "Run it as root, for example with sudo." : "See what it says: journalctl -b -n 20 _PID=1.", what, e);
    }

    static bool IsNoSuchUnit(SystemBusException e) => e.Name is "org.freedesktop.systemd1.NoSuchUnit";

    static bool IsNoSuchFile(SystemBusException e) => e.Name is "org.freedesktop.DBus.Error.FileNotFound";

    [SuppressMessage("Performance", "CA1859", Justification = "The rows are read, never changed.")]
    static IEnumerable<IReadOnlyList<object?>> Rows(List<object?> reply) => ((List<object?>)reply[0]!).OfType<List<object?>>();
}
