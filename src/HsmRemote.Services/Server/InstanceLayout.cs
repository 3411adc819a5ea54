using HsmRemote.Services.Systemd;

namespace HsmRemote.Services.Server;

/// <summary>Where an instance keeps what.</summary>
sealed record InstanceLayout(string Name)
{
    /// <summary>The variable of the configuration file that holds the target.</summary>
    internal const string TargetVariable = "TARGET_PKCS11_URI";

    internal string SocketUnit => $"{Name}.socket";

    internal string ServiceTemplate => $"{Name}@.service";

    /// <summary>The services of the connections that are open.</summary>
    internal string ConnectionPattern => $"{Name}@*.service";

    /// <summary>The slice that systemd makes for the services of a template; '-' would make it a slice in a slice.</summary>
    internal string ConnectionSlice => $"system-{Name.Replace("-", @"\x2d", StringComparison.Ordinal)}.slice";

    internal string SocketUnitPath => Path.Combine(UnitFile.Directory, SocketUnit);

    internal string ServiceTemplatePath => Path.Combine(UnitFile.Directory, ServiceTemplate);

    internal string ConfigDirectory => $"/etc/{Name}";

    internal string ConfigPath => $"{ConfigDirectory}/config.env";

    /// <summary>Asks systemd-sysusers for the group, and is the mark of a group that came with the instance.</summary>
    internal string SysusersPath => $"{ConfigDirectory}/sysusers.conf";

    internal string DefaultSocketPath => $"/run/{Name}/pkcs11";
}
