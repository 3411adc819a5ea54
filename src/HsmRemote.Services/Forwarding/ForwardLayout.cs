using HsmRemote.Services.Native;
using HsmRemote.Services.Systemd;

namespace HsmRemote.Services.Forwarding;

/// <summary>Where a forward keeps what. One that does not persist is in /run, or in the user's runtime directory, and so ends with it.</summary>
sealed record ForwardLayout(string Name, P11KitServerScope Scope, bool IsPersistent)
{
    /// <summary>Whether launchd runs forwards here, and not systemd.</summary>
    internal static bool IsLaunchd => OperatingSystem.IsMacOS();

    /// <summary>What the units of forwards begin with, and what is theirs.</summary>
    internal const string Prefix = "p11-forward-";

    /// <summary>The file with colima's configuration for ssh.</summary>
    internal const string ColimaConfig = "ssh_config";

    /// <summary>The file with the host keys of a virtual machine.</summary>
    internal const string KnownHosts = "known_hosts";

    /// <summary>Its unit's name without its type; also that of its directories.</summary>
    internal string UnitName => $"{Prefix}{Name}";

    internal string Unit => $"{UnitName}.service";

    /// <summary>Where systemd looks for its unit. For launchd, which has an agent instead, it only says what the forward is.</summary>
    internal string UnitDirectory => (Scope, IsPersistent) switch
    {
        _ when IsLaunchd => Directory,
        (P11KitServerScope.User, true) => $"{Caller.Home}/.config/systemd/user",
        (P11KitServerScope.User, false) => $"{Caller.RuntimeDirectory}/systemd/user",
        (_, true) => UnitFile.Directory,
        _ => "/run/systemd/system",
    };

    internal string UnitPath => Path.Combine(UnitDirectory, Unit);

    /// <summary>The scripts that the unit runs.</summary>
    internal string Directory => (Scope, IsPersistent) switch
    {
        (P11KitServerScope.User, true) => $"{Caller.Home}/.config/{UnitName}",
        (_, true) => $"/etc/{UnitName}",
        _ => $"{RuntimeRoot}/{UnitName}.d",
    };

    internal string TunnelPath => Path.Combine(Directory, "tunnel.sh");

    internal string EndPath => Path.Combine(Directory, "end.sh");

    /// <summary>The host keys of a virtual machine, which colima's own configuration does not check.</summary>
    internal string KnownHostsPath => Path.Combine(Directory, KnownHosts);

    /// <summary>Every file of its own that a forward may have in its directory.</summary>
    internal IReadOnlyList<string> Files => [TunnelPath, EndPath, KnownHostsPath];

    internal string RuntimeRoot => IsLaunchd ? $"{Caller.Home}/Library/Caches" : Scope == P11KitServerScope.User ? Caller.RuntimeDirectory : "/run";

    /// <summary>What systemd makes for the tunnel's process, and removes with it: its state and, of one that is pulled, the socket.</summary>
    internal string StateDirectory => $"{RuntimeRoot}/{UnitName}";

    /// <summary>The ssh configuration that colima gives, fetched anew for each connection.</summary>
    internal string ColimaConfigPath => $"{StateDirectory}/{ColimaConfig}";

    /// <summary>The same forward where it persists or, if it does, where it does not.</summary>
    internal ForwardLayout Other => this with { IsPersistent = !IsPersistent };

    /// <summary>Both, the one that persists first.</summary>
    internal static IEnumerable<ForwardLayout> Both(string name, P11KitServerScope scope) => [new(name, scope, true), new(name, scope, false)];
}
