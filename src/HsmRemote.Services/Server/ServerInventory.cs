using System.Text.RegularExpressions;
using HsmRemote.Services.Native;
using HsmRemote.Services.Systemd;
using Group = HsmRemote.Services.Native.Group;

namespace HsmRemote.Services.Server;

/// <summary>Finds the instances of this host: every unit that runs a p11-kit server, whoever installed it.</summary>
static partial class ServerInventory
{
    // The unit files' directories of systemd.unit(5), the administrator's first.
    static readonly string[] UnitDirectories =
        [UnitFile.Directory, "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"];

    /// <summary>The service units that mention p11-kit, by the files alone: <c>edge@.service</c>, <c>tedge-p11-kit-server.service</c>.</summary>
    /// <param name="name">The instance that they belong to; null: any.</param>
    internal static IEnumerable<string> ServiceUnits(string? name = null) =>
        UnitDirectories
            .Where(System.IO.Directory.Exists)
            .SelectMany(directory => System.IO.Directory.EnumerateFiles(directory, "*.service"))
            .Where(path => name is null || string.Equals(InstanceName(Path.GetFileName(path)), name, StringComparison.Ordinal))
            .Where(MentionsP11Kit)
            .Select(path => Path.GetFileName(path))
            .Distinct(StringComparer.Ordinal);

    /// <summary>The instance that a service unit belongs to.</summary>
    internal static string InstanceName(string serviceUnit) => serviceUnit[..^".service".Length].TrimEnd('@');

    /// <summary>Every instance, by name.</summary>
    internal static IReadOnlyList<P11KitServer> List(ISystemdManager systemd, IReporter reporter) =>
        [.. ServiceUnits()
            .Select(unit => Inspect(systemd, unit, reporter))
            .OfType<P11KitServer>()
            .DistinctBy(server => server.Name, StringComparer.Ordinal)
            .OrderBy(server => server.Name, StringComparer.Ordinal)];

    /// <summary>One instance, or null when there is none of that name.</summary>
    internal static P11KitServer? Find(ISystemdManager systemd, string name, IReporter reporter) =>
        ServiceUnits(name)
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
        var command = string.Join(' ', service.Rows("ExecStart").SelectMany(row => ((List<object?>)row[1]!).Cast<string>()));
        if (ServerCommand().Match(command) is not { Success: true } match)
            return null;

        var name = InstanceName(serviceUnit);
        var socketUnit = $"{name}.socket";
        var socket = systemd.Load(socketUnit);
        var mode = match.Groups["verb"].Value is "remote" ? P11KitServerMode.PerConnection : P11KitServerMode.Daemon;
        if (mode == P11KitServerMode.PerConnection && socket is null)
            return null;

        var listener = socket ?? service;
        var configPath = service.Rows("EnvironmentFiles").Select(row => (string)row[0]!).LastOrDefault();
        var group = socket is null ? null : socket.Text("SocketGroup") is { Length: > 0 } named ? named : "root";
        var unitPath = listener.Text("FragmentPath");
        return new P11KitServer
        {
            Name = name,
            State = State(listener.Text("ActiveState")),
            Mode = mode,
            IsManaged = IsOurs(unitPath),
            Enabled = listener.Text("UnitFileState") is "enabled" or "enabled-runtime",
            SocketPath = socket is null
                ? SocketArgument().Match(command) is { Success: true } path ? path.Groups["path"].Value : null
                : socket.Rows("Listen").Where(row => row[0] is "Stream").Select(row => SystemdText.Unescape((string)row[1]!)).FirstOrDefault(),
            SocketMode = socket?.Number("SocketMode") is { } bits ? Convert.ToString((int)bits, 8).PadLeft(4, '0') : null,
            SocketUser = socket is null ? null : socket.Text("SocketUser") is { Length: > 0 } owner ? owner : "root",
            Group = group,
            GroupId = group is null ? null : FindGroup(group)?.Id,
            TargetUri = configPath is null ? null : Target(name, configPath, reporter),
            ConfigPath = configPath,
            Connections = mode == P11KitServerMode.PerConnection ? socket?.Number("NConnections") : null,
            AcceptedConnections = mode == P11KitServerMode.PerConnection ? socket?.Number("NAccepted") : null,
            Unit = socket is null ? serviceUnit : socketUnit,
            UnitPath = unitPath.Length > 0 ? unitPath : null,
        };
    }

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

    // p11-kit server -n PATH, --name PATH or --name=PATH.
    [GeneratedRegex(@"\s(?:-n\s*|--name[=\s]\s*)(?<path>/\S+)", RegexOptions.CultureInvariant | RegexOptions.ExplicitCapture, 1000)]
    private static partial Regex SocketArgument();
}
