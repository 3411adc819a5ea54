using HsmRemote.Services.Systemd;

namespace HsmRemote.Services.Server;

/// <summary>An instance as it is to be, with nothing left to decide.</summary>
sealed record InstanceState(InstanceLayout Layout, string SocketPath, UnixFileMode SocketMode, string Group);

/// <summary>The unit files of an instance in PerConnection mode.</summary>
static class InstanceUnits
{
    /// <summary>A section that systemd ignores (systemd.unit(5): names that begin with X-), and that tells ours from others'.</summary>
    internal const string Mark = "X-HsmRemote";

    internal static string Socket(InstanceState instance) => new UnitFile()
        .Comment($"Written by HsmRemote: Install-P11KitServer -Name {instance.Layout.Name}")
        .Comment($"To change it, use a drop-in: systemctl edit {instance.Layout.SocketUnit}")
        .Section("Unit")
        .Set("Description", $"PKCS #11 tokens for containers, instance {instance.Layout.Name}")
        .Set("Documentation", "man:p11-kit(8)")
        .Section("Socket")
        .SetLiteral("ListenStream", instance.SocketPath)
        .Set("SocketUser", "root")
        .SetLiteral("SocketGroup", instance.Group)
        .Set("SocketMode", Convert.ToString((int)instance.SocketMode, 8).PadLeft(4, '0'))
        .Set("DirectoryMode", "0755")
        .Set("RemoveOnStop", "yes")
        .Comment("A process for each connection, which ends with it.")
        .Set("Accept", "yes")
        .Set("MaxConnections", "256")
        .Comment("A client that connects in a loop must not stop the socket for the others.")
        .Set("TriggerLimitIntervalSec", "0")
        .Section("Install")
        .Set("WantedBy", "sockets.target")
        .Section(Mark)
        .Set("Instance", instance.Layout.Name)
        .ToString();

    internal static string Service(InstanceState instance, string p11Kit, IEnumerable<string> writablePaths)
    {
        var unit = new UnitFile()
            .Comment($"Written by HsmRemote: Install-P11KitServer -Name {instance.Layout.Name}")
            .Comment($"To change it, use a drop-in: systemctl edit {instance.Layout.ServiceTemplate}")
            .Section("Unit")
            .Set("Description", $"PKCS #11 tokens for containers, instance {instance.Layout.Name}, connection %i")
            .Set("Documentation", "man:p11-kit(8)")
            .Comment("Connections that ended badly are in the journal; they need not stay in memory.")
            .Set("CollectMode", "inactive-or-failed")
            .Section("Service")
            .Comment("Read at each connection: a new target holds without a restart. No target: nothing is exposed.")
            .SetLiteral("EnvironmentFile", instance.Layout.ConfigPath)
            .Comment("Its own address in its environment would make it connect to itself without end.")
            .Set("UnsetEnvironment", "P11_KIT_SERVER_ADDRESS")
            .Comment("Unbraced, so that several URIs become several arguments.")
            .Set("ExecStart", $"{UnitFile.Literal(p11Kit)} remote ${InstanceLayout.TargetVariable}")
            .Set("StandardInput", "socket")
            .Set("StandardOutput", "socket")
            .Set("StandardError", "journal");
        foreach (var (directive, value) in Sandbox)
            unit.Set(directive, value);
        foreach (var path in writablePaths)
            unit.SetLiteral("ReadWritePaths", $"-{path}");
        return unit.Section(Mark).Set("Instance", instance.Layout.Name).ToString();
    }

    /// <summary>What a connection may not do: all that no PKCS #11 module needs (systemd.exec(5)).</summary>
    static readonly (string Directive, string Value)[] Sandbox =
    [
        ("NoNewPrivileges", "yes"),
        ("CapabilityBoundingSet", ""),
        ("AmbientCapabilities", ""),
        ("ProtectSystem", "strict"),
        ("ProtectHome", "yes"),
        // The sockets of systemd, D-Bus and the container engines are all in /run, and root may talk to them. A token's
        // reader is reached through pcscd's.
        ("TemporaryFileSystem", "/run:ro"),
        ("BindReadOnlyPaths", "-/run/pcscd"),
        ("InaccessiblePaths", "-/etc/shadow -/etc/gshadow -/etc/ssh -/etc/ssl/private"),
        ("PrivateTmp", "yes"),
        ("PrivateDevices", "yes"),
        ("PrivateNetwork", "yes"),
        ("ProtectKernelTunables", "yes"),
        ("ProtectKernelModules", "yes"),
        ("ProtectKernelLogs", "yes"),
        ("ProtectControlGroups", "yes"),
        ("ProtectClock", "yes"),
        ("ProtectHostname", "yes"),
        ("ProtectProc", "invisible"),
        ("ProcSubset", "pid"),
        ("RestrictNamespaces", "yes"),
        ("RestrictRealtime", "yes"),
        ("RestrictSUIDSGID", "yes"),
        ("RestrictAddressFamilies", "AF_UNIX"),
        ("LockPersonality", "yes"),
        ("MemoryDenyWriteExecute", "yes"),
        ("SystemCallArchitectures", "native"),
        ("SystemCallFilter", "@system-service"),
        ("SystemCallErrorNumber", "EPERM"),
        ("IPAddressDeny", "any"),
        ("RemoveIPC", "yes"),
        ("KeyringMode", "private"),
        ("UMask", "0077"),
    ];
}
