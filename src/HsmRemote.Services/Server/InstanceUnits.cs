using System.Globalization;
using HsmRemote.Services.Systemd;

namespace HsmRemote.Services.Server;

/// <summary>An instance as it is to be, with nothing left to decide.</summary>
sealed record InstanceState(InstanceLayout Layout, string SocketPath, UnixFileMode SocketMode, string Group, SandboxRequest Sandbox)
{
    internal P11KitServerMode Mode { get; init; }

    /// <summary>Whose the socket is that systemd makes.</summary>
    internal string SocketUser { get; init; } = "root";

    internal uint MaxConnections { get; init; } = 256;

    /// <summary>How many connections one user may have; null: as many as all together.</summary>
    internal uint? MaxConnectionsPerSource { get; init; }

    internal string? PeerUser { get; init; }

    internal string? PeerGroup { get; init; }

    /// <summary>What came with it; null: that is not remembered.</summary>
    internal InstanceOrigin? Origin { get; init; }

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
        .Comment($"To change it, use a drop-in: {SystemdTools.Systemctl(instance.Layout.Scope)} edit {unit}")
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
            unit.SetLiteral("SocketUser", instance.SocketUser).SetLiteral("SocketGroup", instance.Group);
        return unit
            .Set("SocketMode", instance.OctalMode)
            .Set("DirectoryMode", "0755")
            .Set("RemoveOnStop", "yes");
    }

    internal static string EndSocket(UnitFile unit, InstanceState instance) => Mine(
        unit
            .Comment("A client that connects in a loop must not stop the socket for the others.")
            .Set("TriggerLimitIntervalSec", "0")
            .Section("Install")
            .Set("WantedBy", "sockets.target"),
        instance).SetAll(instance.Origin?.Lines ?? []).ToString();

    /// <summary>The end of a service: whose it is, and what of it no directive says.</summary>
    internal static string End(UnitFile unit, InstanceState instance, params IEnumerable<(string Key, string Value)> remembered) =>
        instance.Sandbox.Remember(Mine(unit, instance).SetAll(remembered)).ToString();

    static UnitFile Mine(UnitFile unit, InstanceState instance) => unit.Section(Mark).Set("Instance", instance.Layout.Name);

    /// <summary>What the section of ours in a unit's file holds, by key; empty when the file is not ours.</summary>
    internal static ILookup<string, string> Remembered(string unitPath) => Remembered(UnitFile.LinesOf(unitPath));

    /// <inheritdoc cref="Remembered(string)"/>
    /// <param name="unit">The unit's lines.</param>
    internal static ILookup<string, string> Remembered(IEnumerable<string> unit) => unit
        .SkipWhile(line => line is not $"[{Mark}]").Skip(1).TakeWhile(line => !line.StartsWith('['))
        .Select(line => line.Split('=', 2)).Where(pair => pair.Length == 2).ToLookup(pair => pair[0], pair => pair[1], StringComparer.Ordinal);
}
