using System.Globalization;
using HsmRemote.Services.Server;
using HsmRemote.Services.Systemd;

namespace HsmRemote.Services.Forwarding;

/// <summary>The forwards that are there: by their units, and by what the tunnels say of themselves.</summary>
static class ForwardInventory
{
    /// <summary>The forwards of the machine and the caller, as their units remember them.</summary>
    internal static IEnumerable<ForwardSettings> Settings() =>
        Enum.GetValues<P11KitServerScope>().SelectMany(scope => Layouts(scope).Select(Read).OfType<ForwardSettings>())
            .OrderBy(forward => forward.Layout.Name, StringComparer.Ordinal);

    /// <summary>One forward, or null when there is none of that name.</summary>
    internal static ForwardSettings? Find(string name, P11KitServerScope scope) => ForwardLayout.Both(name, scope).Select(Read).FirstOrDefault(found => found is not null);

    internal static ForwardSettings? Read(ForwardLayout layout) => ForwardSettings.From(layout, InstanceUnits.Remembered(layout.UnitPath));

    /// <summary>A forward with how its tunnel is.</summary>
    internal static P11SocketForward Describe(ForwardSettings forward, ISystemdManager? systemd)
    {
        var layout = forward.Layout;
        var unit = systemd?.Load(layout.Unit);
        var active = unit?.Text("ActiveState");
        var said = TunnelState(layout);
        var isRunning = active is "active" or "activating" or "deactivating" || (systemd is null && said.Count > 0);
        return new P11SocketForward
        {
            Name = layout.Name,
            State = !isRunning ? active is "failed" ? P11ForwardState.Failed : P11ForwardState.Stopped
                : Enum.TryParse<P11ForwardState>(said.GetValueOrDefault("State"), out var state) ? state : P11ForwardState.Connecting,
            Direction = forward.Direction,
            HostName = forward.HostName,
            Port = forward.Port,
            UserName = forward.UserName,
            KeyPath = forward.KeyPath,
            SshConfig = forward.SshConfig,
            ColimaProfile = forward.ColimaProfile,
            SocketPath = forward.SocketPath,
            RemotePath = forward.RemotePath,
            ServerName = forward.ServerName,
            SocketMode = forward.SocketMode,
            Owner = forward.Owner,
            Group = forward.Group,
            IsPersistent = layout.IsPersistent,
            Scope = layout.Scope,
            Since = isRunning && long.TryParse(said.GetValueOrDefault("Since"), CultureInfo.InvariantCulture, out var since)
                ? DateTimeOffset.FromUnixTimeSeconds(since).ToLocalTime() : null,
            Attempts = isRunning && int.TryParse(said.GetValueOrDefault("Attempts"), CultureInfo.InvariantCulture, out var attempts) ? attempts : 0,
            LastError = isRunning && Said(layout) is { Length: > 0 } errors ? SshFailure.Of(errors, forward).Failure : null,
            ProcessId = unit?.Number("MainPID") is { } process and > 0 ? (int)process : null,
            Unit = layout.Unit,
            UnitPath = layout.UnitPath,
        };
    }

    /// <summary>What the tunnel wrote of its state, by key; empty when it does not run.</summary>
    internal static IReadOnlyDictionary<string, string> TunnelState(ForwardLayout layout) => EndView.Parse(ReadOrEmpty($"{layout.StateDirectory}/state")).Values;

    /// <summary>What ssh complained of when the last connection ended or could not be made.</summary>
    internal static string Said(ForwardLayout layout) => ReadOrEmpty($"{layout.StateDirectory}/errors");

    static IEnumerable<ForwardLayout> Layouts(P11KitServerScope scope) =>
        ForwardLayout.IsLaunchd
            ? LaunchdAgent.Layouts(scope)
            : ForwardLayout.Both("", scope)
                .Where(layout => Directory.Exists(layout.UnitDirectory))
                .SelectMany(layout => Directory.EnumerateFiles(layout.UnitDirectory, $"{ForwardLayout.Prefix}*.service")
                    .Select(path => layout with { Name = Path.GetFileNameWithoutExtension(path)[ForwardLayout.Prefix.Length..] }));

    static string ReadOrEmpty(string path)
    {
        try
        {
            return File.ReadAllText(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return "";
        }
    }
}
