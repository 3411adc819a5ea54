using HsmRemote.Services.Native;
using HsmRemote.Services.Systemd;

namespace HsmRemote.Services.Server;

/// <summary>Finds the instances of this host: every unit that runs a p11-kit server, whoever installed it.</summary>
static class ServerInventory
{
    // The unit files' directories of systemd.unit(5), the administrator's first.
    static string[] UnitDirectories(P11KitServerScope scope) => scope == P11KitServerScope.User
        ? [$"{Caller.Home}/.config/systemd/user", "/etc/systemd/user", $"{Caller.RuntimeDirectory}/systemd/user", "/usr/lib/systemd/user"]
        : [UnitFile.Directory, "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"];

    /// <summary>The service units that mention p11-kit, by the files alone: <c>edge@.service</c>, <c>tedge-p11-kit-server.service</c>.</summary>
    /// <param name="scope">Whose.</param>
    /// <param name="name">The instance that they belong to; null: any.</param>
    internal static IEnumerable<string> ServiceUnits(P11KitServerScope scope, string? name = null) =>
        UnitDirectories(scope)
            .Where(System.IO.Directory.Exists)
            .SelectMany(directory => System.IO.Directory.EnumerateFiles(directory, "*.service"))
            .Where(path => IsUnitName(Path.GetFileName(path)))
            .Where(path => name is null || string.Equals(InstanceName(Path.GetFileName(path)), name, StringComparison.Ordinal))
            .Where(MentionsP11Kit)
            .Select(path => Path.GetFileName(path))
            .Distinct(StringComparer.Ordinal);

    // systemd.unit(5). A file of another name is no unit to it: a copy that an editor or an administrator left.
    static bool IsUnitName(string name) => name.Length <= 255 && name.All(c => char.IsAsciiLetterOrDigit(c) || c is ':' or '-' or '_' or '.' or '\\' or '@');

    /// <summary>The instance that a service unit belongs to.</summary>
    internal static string InstanceName(string serviceUnit) => serviceUnit[..^".service".Length].TrimEnd('@');

    /// <summary>Every instance that the caller can see, the machine's and their own, by name.</summary>
    internal static IReadOnlyList<P11KitServer> List(SystemdManagers managers, IReporter reporter, bool detailed = false) =>
        [.. SystemdManagers.Scopes.SelectMany(scope => List(managers[scope], reporter, detailed)).OrderBy(server => server.Name, StringComparer.Ordinal)];

    /// <summary>The instances of a name, of which there may be one in each scope.</summary>
    internal static IReadOnlyList<P11KitServer> Find(SystemdManagers managers, string name, IReporter reporter, bool detailed = false) =>
        [.. SystemdManagers.Scopes.Select(scope => Find(managers[scope], name, reporter, detailed)).OfType<P11KitServer>()];

    /// <summary>Every instance of a scope, by name.</summary>
    internal static IReadOnlyList<P11KitServer> List(ISystemdManager systemd, IReporter reporter, bool detailed = false) =>
        [.. ServiceUnits(systemd.Scope)
            .Select(unit => Inspect(systemd, unit, reporter, detailed))
            .OfType<P11KitServer>()
            .DistinctBy(server => server.Name, StringComparer.Ordinal)
            .OrderBy(server => server.Name, StringComparer.Ordinal)];

    /// <summary>One instance, or null when there is none of that name.</summary>
    internal static P11KitServer? Find(ISystemdManager systemd, string name, IReporter reporter, bool detailed = false) =>
        ServiceUnits(systemd.Scope, name)
            .Select(unit => Inspect(systemd, unit, reporter, detailed))
            .FirstOrDefault(server => server is not null);

    /// <summary>The properties of a service unit; those of a template are the ones of an instance that is never started.</summary>
    internal static UnitProperties? LoadService(ISystemdManager systemd, string serviceUnit) =>
        systemd.Load(serviceUnit.Replace("@.", "@inspect.", StringComparison.Ordinal));

    /// <summary>The instance behind a service unit, or null when the unit does not run a p11-kit server.</summary>
    static P11KitServer? Inspect(ISystemdManager systemd, string serviceUnit, IReporter reporter, bool detailed)
    {
        using var step = new Step(reporter, $"Ask systemd for {serviceUnit}");
        var service = LoadService(systemd, serviceUnit);
        if (service is null)
            return null;
        var name = InstanceName(serviceUnit);
        ServiceEnvironment? environment = null;
        try
        {
            environment = ServiceEnvironment.Of(name, service);
        }
        catch (HsmRemoteException e)
        {
            reporter.Warning(e.Message);
        }

        // Without the files' variables the command is still known, and its target is not.
        if (ServerCommand.Find(service, environment ?? new()) is not { } command)
            return null;
        var isTemplate = serviceUnit.EndsWith("@.service", StringComparison.Ordinal);
        var socketUnit = $"{name}.socket";
        var socket = systemd.Load(socketUnit);
        // Of a package, below an instance that was taken over and makes its socket by itself. (One that cannot be read is not known to be.)
        if (socket is not null && IsOurs(service.Text("FragmentPath")) && UnitFile.LinesOf(socket.Text("FragmentPath")) is [_, ..] lines && !HasMark(lines))
            socket = null;
        // What serves standard input needs a socket that is accepted from; a template of daemons is no instance itself.
        if (command.IsRemote ? socket is null : isTemplate)
            return null;

        var listener = socket ?? service;
        var unitPath = listener.Text("FragmentPath");
        var isOurs = IsOurs(unitPath);
        var socketPath = socket is null
            ? command.Options.Name is ['/', ..] given ? given : null
            : socket.Rows("Listen").Where(row => row[0] is "Stream").Select(row => SystemdText.Unescape((string)row[1]!)).FirstOrDefault();
        var access = isOurs
            ? Owner(systemd.Scope, socket, unitPath)
            : SocketAccess.Of(socket, socketPath, isMadeByServer: !isTemplate);
        var configPath = command.TargetVariable is { } variable && environment?.FileOf(variable) is { } origin
            ? origin
            : service.Rows("EnvironmentFiles").Select(row => (string)row[0]!).LastOrDefault();
        var server = new P11KitServer
        {
            Name = name,
            State = State(listener, isTemplate ? null : service),
            Mode = isTemplate ? P11KitServerMode.PerConnection : command.IsRemote ? P11KitServerMode.Acceptor : P11KitServerMode.Daemon,
            Scope = systemd.Scope,
            IsManaged = isOurs,
            Enabled = IsEnabled(listener) || (!isTemplate && IsEnabled(service)),
            SocketPath = socketPath,
            SocketMode = access.Mode,
            SocketUser = access.User,
            Group = access.Group,
            GroupId = access.Group is null ? null : FindGroup(access.Group)?.Id,
            PeerUser = command.Options.User,
            PeerGroup = command.Options.Group,
            TargetUri = environment is null ? null : Target(name, command, environment, reporter),
            TargetVariable = command.TargetVariable,
            ConfigPath = command.TargetVariable is null ? null : configPath,
            Connections = isTemplate ? socket?.Number("NConnections") : ConnectionInventory.Count(systemd, serviceUnit),
            AcceptedConnections = isTemplate ? socket?.Number("NAccepted") : null,
            RefusedConnections = isTemplate ? socket?.Number("NRefused") : null,
            MaxConnections = isTemplate ? socket?.Number("MaxConnections") : null,
            MaxConnectionsPerSource = isTemplate ? Limit(socket?.Number("MaxConnectionsPerSource")) : null,
            Unit = socket is null ? serviceUnit : socketUnit,
            UnitPath = unitPath.Length > 0 ? unitPath : null,
            ServiceUnit = serviceUnit,
        };
        return detailed ? ServerDetails.AddTo(server, systemd, socket, service, reporter) : server;
    }

    /// <summary>What the socket's file of an instance of ours is to be: as its unit says, or as the unit of a server that makes it remembers.</summary>
    static SocketAccess Owner(P11KitServerScope scope, UnitProperties? socket, string unitPath)
    {
        var remembered = socket is null ? InstanceUnits.Remembered(unitPath) : null;
        var access = remembered is null
            ? SocketAccess.Of(socket, null, isMadeByServer: false)
            : new(remembered["SocketMode"].FirstOrDefault(), SandboxRequest.UserOf(remembered) ?? "root", remembered["SocketGroup"].FirstOrDefault() is { Length: > 0 } group ? group : "root");
        return scope == P11KitServerScope.User && access.Mode is not null
            ? new(access.Mode, Caller.UserName, Accounts.FindGroup(Accounts.getegid())?.Name)
            : access;
    }

    // No limit: 0 up to systemd 255, and later the greatest number.
    static uint? Limit(uint? value) => value is 0 or uint.MaxValue ? null : value;

    /// <summary>The target as the server gets it. A word that is no URI is reported: the server may make of it what nobody meant.</summary>
    static List<Pkcs11Uri>? Target(string name, ServerCommand command, ServiceEnvironment environment, IReporter reporter)
    {
        foreach (var file in environment.Missing)
            reporter.Warning($"'{name}' cannot serve: {file}, which its unit reads, is not there.");
        List<Pkcs11Uri> target = [];
        foreach (var word in command.Target)
        {
            if (Pkcs11Uri.TryParse(word, out var uri, out var error))
                target.Add(uri);
            else
                reporter.Warning($"The target of '{name}' has an argument that is no PKCS #11 URI. {error} Set it anew: Get-Pkcs11Token -Label LABEL | Set-P11TargetUri -Name {name}.");
        }

        // A module, or what is no URI at all: what is exposed is not known, which is not the same as nothing.
        return target.Count == 0 && command.Target.Any() ? null : target;
    }

    static bool IsEnabled(UnitProperties unit) => unit.Text("UnitFileState") is "enabled" or "enabled-runtime";

    /// <summary>Whether any of an instance's units is one that we wrote.</summary>
    internal static bool HasOurs(InstanceLayout layout) => layout.Units.Select(layout.UnitPath).Any(IsOurs);

    /// <summary>Whether a unit's file has our mark.</summary>
    internal static bool IsOurs(string unitPath) => HasMark(UnitFile.LinesOf(unitPath));

    static bool HasMark(string[] unit) => unit.Contains($"[{InstanceUnits.Mark}]", StringComparer.Ordinal);

    /// <summary>A group by its name, or by its number written as text, as a unit may have it.</summary>
    static Group? FindGroup(string group) => uint.TryParse(group, out var id) ? Accounts.FindGroup(id) : Accounts.FindGroup(group);

    // Asked of every unit file of the host.
    static bool MentionsP11Kit(string path) => UnitFile.TextOf(path).Contains("p11-kit", StringComparison.Ordinal);

    /// <summary>What an instance is doing. A daemon behind a socket has failed when it has failed, whatever its socket says.</summary>
    static P11KitServerState State(UnitProperties listener, UnitProperties? daemon) => (daemon?.Text("ActiveState"), listener.Text("ActiveState")) switch
    {
        ("failed", _) or (_, "failed") => P11KitServerState.Failed,
        ("active", _) or (_, "active") => P11KitServerState.Listening,
        (_, "activating" or "deactivating" or "reloading") => P11KitServerState.Changing,
        _ => P11KitServerState.Stopped,
    };
}
