using System.Text.RegularExpressions;
using HsmRemote.Services.Native;
using HsmRemote.Services.Systemd;
using Group = HsmRemote.Services.Native.Group;

namespace HsmRemote.Services.Server;

/// <summary>Finds the instances of this host: every unit that runs a p11-kit server, whoever installed it.</summary>
static partial class ServerInventory
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
            .Where(path => name is null || string.Equals(InstanceName(Path.GetFileName(path)), name, StringComparison.Ordinal))
            .Where(MentionsP11Kit)
            .Select(path => Path.GetFileName(path))
            .Distinct(StringComparer.Ordinal);

    /// <summary>The instance that a service unit belongs to.</summary>
    internal static string InstanceName(string serviceUnit) => serviceUnit[..^".service".Length].TrimEnd('@');

    /// <summary>Every instance that the caller can see, the machine's and their own, by name.</summary>
    internal static IReadOnlyList<P11KitServer> List(SystemdManagers managers, IReporter reporter) =>
        [.. SystemdManagers.Scopes.SelectMany(scope => List(managers[scope], reporter)).OrderBy(server => server.Name, StringComparer.Ordinal)];

    /// <summary>The instances of a name, of which there may be one in each scope.</summary>
    internal static IReadOnlyList<P11KitServer> Find(SystemdManagers managers, string name, IReporter reporter) =>
        [.. SystemdManagers.Scopes.Select(scope => Find(managers[scope], name, reporter)).OfType<P11KitServer>()];

    /// <summary>Every instance of a scope, by name.</summary>
    internal static IReadOnlyList<P11KitServer> List(ISystemdManager systemd, IReporter reporter) =>
        [.. ServiceUnits(systemd.Scope)
            .Select(unit => Inspect(systemd, unit, reporter))
            .OfType<P11KitServer>()
            .DistinctBy(server => server.Name, StringComparer.Ordinal)
            .OrderBy(server => server.Name, StringComparer.Ordinal)];

    /// <summary>One instance, or null when there is none of that name.</summary>
    internal static P11KitServer? Find(ISystemdManager systemd, string name, IReporter reporter) =>
        ServiceUnits(systemd.Scope, name)
            .Select(unit => Inspect(systemd, unit, reporter))
            .FirstOrDefault(server => server is not null);

    /// <summary>The instance behind a service unit, or null when the unit does not run a p11-kit server.</summary>
    static P11KitServer? Inspect(ISystemdManager systemd, string serviceUnit, IReporter reporter)
    {
        var isTemplate = serviceUnit.EndsWith("@.service", StringComparison.Ordinal);
        // A template has properties only as an instance; this one is never started.
        var service = systemd.Load(isTemplate ? serviceUnit.Replace("@.", "@inspect.", StringComparison.Ordinal) : serviceUnit);
        if (service is null)
            return null;
        List<string> arguments = [.. service.Rows("ExecStart").SelectMany(row => ((List<object?>)row[1]!).Cast<string>())];
        var command = string.Join(' ', arguments);
        if (ServerCommand().Match(command) is not { Success: true } match)
            return null;

        var name = InstanceName(serviceUnit);
        var socketUnit = $"{name}.socket";
        var socket = systemd.Load(socketUnit);
        var mode = match.Groups["verb"].Value is "server" ? P11KitServerMode.Daemon
            : isTemplate ? P11KitServerMode.PerConnection : P11KitServerMode.Acceptor;
        if (mode != P11KitServerMode.Daemon && socket is null)
            return null;

        var listener = socket ?? service;
        var configPath = service.Rows("EnvironmentFiles").Select(row => (string)row[0]!).LastOrDefault();
        var unitPath = listener.Text("FragmentPath");
        var owner = Owner(systemd.Scope, socket, unitPath);
        return new P11KitServer
        {
            Name = name,
            State = State(listener.Text("ActiveState")),
            Mode = mode,
            Scope = systemd.Scope,
            IsManaged = IsOurs(unitPath),
            Enabled = listener.Text("UnitFileState") is "enabled" or "enabled-runtime",
            SocketPath = socket is null
                ? CommandOption.Value(arguments, 'n', "--name") is { } path && path.StartsWith('/') ? path : null
                : socket.Rows("Listen").Where(row => row[0] is "Stream").Select(row => SystemdText.Unescape((string)row[1]!)).FirstOrDefault(),
            SocketMode = owner.Mode,
            SocketUser = owner.User,
            Group = owner.Group,
            GroupId = owner.Group is null ? null : FindGroup(owner.Group)?.Id,
            PeerUser = mode == P11KitServerMode.Daemon ? CommandOption.Value(arguments, 'u', "--user") : null,
            PeerGroup = mode == P11KitServerMode.Daemon ? CommandOption.Value(arguments, 'g', "--group") : null,
            TargetUri = configPath is null ? null : Target(name, configPath, reporter),
            ConfigPath = configPath,
            Connections = mode == P11KitServerMode.PerConnection ? socket?.Number("NConnections") : null,
            AcceptedConnections = mode == P11KitServerMode.PerConnection ? socket?.Number("NAccepted") : null,
            MaxConnections = mode == P11KitServerMode.PerConnection ? socket?.Number("MaxConnections") : null,
            MaxConnectionsPerSource = mode == P11KitServerMode.PerConnection ? Limit(socket?.Number("MaxConnectionsPerSource")) : null,
            Unit = socket is null ? serviceUnit : socketUnit,
            UnitPath = unitPath.Length > 0 ? unitPath : null,
            ServiceUnit = serviceUnit,
        };
    }

    /// <summary>What the socket's file is to be: as its unit says, or as the unit of a server that makes it remembers.</summary>
    static (string? Mode, string? User, string? Group) Owner(P11KitServerScope scope, UnitProperties? socket, string unitPath)
    {
        var remembered = socket is null ? Remembered(unitPath) : null;
        var mode = socket?.Number("SocketMode") is { } bits ? Convert.ToString((int)bits, 8).PadLeft(4, '0') : remembered?["SocketMode"].FirstOrDefault();
        if (mode is null)
            return (null, null, null);
        if (scope == P11KitServerScope.User)
            return (mode, Caller.UserName, Accounts.FindGroup(Accounts.getegid())?.Name);
        return (
            mode,
            socket?.Text("SocketUser") is { Length: > 0 } user ? user : "root",
            (socket is null ? remembered!["SocketGroup"].FirstOrDefault() : socket.Text("SocketGroup")) is { Length: > 0 } group ? group : "root");
    }

    /// <summary>What our section of a unit's file holds, by key; empty when the file is not ours.</summary>
    static ILookup<string, string> Remembered(string unitPath) =>
        (File.Exists(unitPath) ? File.ReadLines(unitPath) : [])
            .SkipWhile(line => line is not $"[{InstanceUnits.Mark}]").Skip(1).TakeWhile(line => !line.StartsWith('['))
            .Select(line => line.Split('=', 2)).Where(pair => pair.Length == 2).ToLookup(pair => pair[0], pair => pair[1], StringComparer.Ordinal);

    // No limit: 0 up to systemd 255, and later the greatest number.
    static uint? Limit(uint? value) => value is 0 or uint.MaxValue ? null : value;

    static IReadOnlyList<Pkcs11Uri>? Target(string name, string configPath, IReporter reporter)
    {
        try
        {
            return TargetFile.Read(name, configPath).ValidUris(reporter);
        }
        catch (HsmRemoteException e)
        {
            reporter.Warning(e.Message);
            return null;
        }
    }

    /// <summary>Whether a unit's file has our mark.</summary>
    internal static bool IsOurs(string unitPath) =>
        File.Exists(unitPath) && File.ReadLines(unitPath).Contains($"[{InstanceUnits.Mark}]", StringComparer.Ordinal);

    /// <summary>A group by its name, or by its number written as text, as a unit may have it.</summary>
    static Group? FindGroup(string group) => uint.TryParse(group, out var id) ? Accounts.FindGroup(id) : Accounts.FindGroup(group);

    static bool MentionsP11Kit(string path)
    {
        try
        {
            return File.ReadAllText(path).Contains("p11-kit", StringComparison.Ordinal);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // A link that leads nowhere (a masked or a removed unit), or a unit that only root may read.
            return false;
        }
    }

    static P11KitServerState State(string activeState) => activeState switch
    {
        "active" => P11KitServerState.Listening,
        "activating" or "deactivating" or "reloading" => P11KitServerState.Changing,
        "failed" => P11KitServerState.Failed,
        _ => P11KitServerState.Stopped,
    };

    [GeneratedRegex(@"\bp11-kit(?:-|\s+)(?<verb>remote|server)\b", RegexOptions.CultureInvariant, 1000)]
    private static partial Regex ServerCommand();
}
