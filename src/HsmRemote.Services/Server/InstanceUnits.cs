using System.Globalization;
using HsmRemote.Services.Systemd;

namespace HsmRemote.Services.Server;

/// <summary>An instance as it is to be, with nothing left to decide.</summary>
sealed record InstanceState(InstanceLayout Layout, string SocketPath, UnixFileMode SocketMode, string Group)
{
    internal P11KitServerMode Mode { get; init; }

    internal uint MaxConnections { get; init; } = 256;

    /// <summary>How many connections one user may have; null: as many as all together.</summary>
    internal uint? MaxConnectionsPerSource { get; init; }

    internal string? PeerUser { get; init; }

    internal string? PeerGroup { get; init; }

    internal string OctalMode => Convert.ToString((int)SocketMode, 8).PadLeft(4, '0');
}

/// <summary>The unit files of an instance in PerConnection mode, and what those of the other modes have in common with them.</summary>
static class InstanceUnits
{
    /// <summary>A section that systemd ignores (systemd.unit(5): names that begin with X-), and that tells ours from others'.</summary>
    internal const string Mark = "X-HsmRemote";

    internal static string Socket(InstanceState instance)
    {
        var unit = BeginSocket(instance)
            .Comment("A process for each connection, which ends with it.")
            .Set("Accept", "yes")
            .Set("MaxConnections", instance.MaxConnections.ToString(CultureInfo.InvariantCulture));
        if (instance.MaxConnectionsPerSource is { } perSource)
            unit.Set("MaxConnectionsPerSource", perSource.ToString(CultureInfo.InvariantCulture));
        return EndSocket(unit, instance);
    }

    internal static string Service(InstanceState instance, string p11Kit, IEnumerable<(string Directive, string Value)> sandbox)
    {
        var unit = Begin(instance, instance.Layout.ServiceTemplate, ", connection %i")
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
        return End(unit.SetAll(sandbox), instance);
    }

    /// <summary>A unit up to where its type begins.</summary>
    internal static UnitFile Begin(InstanceState instance, string unit, string of = "") => new UnitFile()
        .Comment($"Written by HsmRemote: Install-P11KitServer -Name {instance.Layout.Name}")
        .Comment($"To change it, use a drop-in: systemctl {(instance.Layout.Scope == P11KitServerScope.User ? "--user " : "")}edit {unit}")
        .Section("Unit")
        .Set("Description", $"PKCS #11 tokens for containers, instance {instance.Layout.Name}{of}")
        .Set("Documentation", "man:p11-kit(8)");

    /// <summary>A socket that systemd owns.</summary>
    internal static UnitFile BeginSocket(InstanceState instance)
    {
        var unit = Begin(instance, instance.Layout.SocketUnit)
            .Section("Socket")
            .SetLiteral("ListenStream", instance.SocketPath);
        // A user's systemd can give files to nobody else.
        if (instance.Layout.Scope == P11KitServerScope.System)
            unit.Set("SocketUser", "root").Set("SocketGroup", instance.Group);
        return unit
            .Set("SocketMode", instance.OctalMode)
            .Set("DirectoryMode", "0755")
            .Set("RemoveOnStop", "yes");
    }

    internal static string EndSocket(UnitFile unit, InstanceState instance) => End(
        unit
            .Comment("A client that connects in a loop must not stop the socket for the others.")
            .Set("TriggerLimitIntervalSec", "0")
            .Section("Install")
            .Set("WantedBy", "sockets.target"),
        instance);

    /// <summary>The end of a unit: whose it is, and what of it no directive says.</summary>
    internal static string End(UnitFile unit, InstanceState instance, params IEnumerable<(string Key, string Value)> remembered) =>
        unit.Section(Mark).Set("Instance", instance.Layout.Name).SetAll(remembered).ToString();

    /// <summary>The sandbox of a service on this host.</summary>
    /// <param name="layout">Whose it is: a user's systemd can do less, and needs a user namespace for it.</param>
    /// <param name="writablePaths">What a module has to write to.</param>
    internal static IEnumerable<(string Directive, string Value)> Sandboxed(InstanceLayout layout, IEnumerable<string> writablePaths)
    {
        var directives = Sandbox.Concat(writablePaths.Select(path => ("ReadWritePaths", $"-{UnitFile.Literal(path)}")));
        return layout.Scope == P11KitServerScope.User ? UserSandbox.Adapt(directives) : directives;
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
