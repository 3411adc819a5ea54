using HsmRemote.Services.Native;
using HsmRemote.Services.Systemd;

namespace HsmRemote.Services.Server;

/// <summary>Where an instance keeps what.</summary>
sealed record InstanceLayout(string Name, P11KitServerScope Scope = P11KitServerScope.System)
{
    /// <summary>The variable of the configuration file that holds the target.</summary>
    internal const string TargetVariable = "TARGET_PKCS11_URI";

    internal string SocketUnit => $"{Name}.socket";

    internal string ServiceTemplate => $"{Name}@.service";

    /// <summary>The service of the modes that have one for all connections.</summary>
    internal string Service => $"{Name}.service";

    /// <summary>Every unit file that an instance has in one mode or another.</summary>
    internal IReadOnlyList<string> Units => [SocketUnit, ServiceTemplate, Service];

    /// <summary>The services of the connections that are open.</summary>
    internal string ConnectionPattern => $"{Name}@*.service";

    /// <summary>The slice that systemd makes for the services of a template; '-' would make it a slice in a slice.</summary>
    internal string ConnectionSlice =>
        $"{(Scope == P11KitServerScope.User ? "app" : "system")}-{Name.Replace("-", @"\x2d", StringComparison.Ordinal)}.slice";

    internal string UnitDirectory => Scope == P11KitServerScope.User ? $"{Caller.Home}/.config/systemd/user" : UnitFile.Directory;

    internal string SocketUnitPath => UnitPath(SocketUnit);

    internal string ServiceTemplatePath => UnitPath(ServiceTemplate);

    internal string ConfigDirectory => Scope == P11KitServerScope.User ? $"{Caller.Home}/.config/{Name}" : $"/etc/{Name}";

    internal string ConfigPath => $"{ConfigDirectory}/config.env";

    /// <summary>Asks systemd-sysusers for the group, and is the mark of a group that came with the instance.</summary>
    internal string SysusersPath => $"{ConfigDirectory}/sysusers.conf";

    /// <summary>The user whose own systemd it is of; null: the machine's.</summary>
    internal uint? UserId => Scope == P11KitServerScope.User ? Accounts.geteuid() : null;

    /// <summary>Where sockets are, each in a directory of its own.</summary>
    internal string RuntimeRoot => Scope == P11KitServerScope.User ? Caller.RuntimeDirectory : "/run";

    internal string DefaultSocketPath => $"{RuntimeRoot}/{Name}/pkcs11";

    internal string UnitPath(string unit) => Path.Combine(UnitDirectory, unit);
}
