using HsmRemote.Services.Server;
using HsmRemote.Services.Systemd;

namespace HsmRemote.Services.Forwarding;

/// <summary>The files of a forward.</summary>
static class ForwardUnit
{
    /// <summary>A file of ours that is the same in every forward.</summary>
    internal static string Script(string name)
    {
        using var reader = new StreamReader(typeof(ForwardUnit).Assembly.GetManifestResourceStream(name)!);
        return reader.ReadToEnd();
    }

    internal static string Service(ForwardSettings forward)
    {
        var layout = forward.Layout;
        var isSystem = layout.Scope == P11KitServerScope.System;
        var unit = new UnitFile()
            .Comment($"Written by HsmRemote: New-P11SocketForward -ForwardName {layout.Name}")
            .Section("Unit")
            .SetLiteral("Description", $"PKCS #11 socket {(forward.Direction == P11ForwardDirection.Push ? "to" : "from")} {forward.Host}, forward {layout.Name}")
            .Set("Documentation", "man:ssh(1)");
        if (isSystem)
            unit.Set("Wants", "network-online.target").Set("After", "network-online.target");
        unit
            .Comment("However often it fails, it is tried again.")
            .Set("StartLimitIntervalSec", "0")
            .Section("Service")
            .Comment("It brings dropped connections back by itself, so that systemd has to only when it was killed.")
            .Set("ExecStart", string.Join(' ', new[] { "/bin/sh", layout.TunnelPath }.Concat(forward.TunnelArguments).Select(UnitFile.Argument)))
            .Set("Restart", "always")
            .Set("RestartSec", "5")
            .SetLiteral("RuntimeDirectory", layout.UnitName)
            .Set("RuntimeDirectoryMode", "0755")
            .Comment("Whoever has mounted it keeps it over restarts.")
            .Set("RuntimeDirectoryPreserve", "restart")
            .Comment("The script asks the far side to remove the socket before ssh has to go.")
            .Set("KillMode", "mixed")
            .Set("TimeoutStopSec", "15")
            .Set("NoNewPrivileges", "yes");
        if (isSystem)
        {
            unit.Set("ProtectSystem", "full").Set("ProtectKernelTunables", "yes").Set("ProtectKernelModules", "yes")
                .Set("ProtectControlGroups", "yes").Set("ProtectClock", "yes").Set("LockPersonality", "yes").Set("RestrictRealtime", "yes");
        }

        if (layout.IsPersistent)
            unit.Section("Install").Set("WantedBy", isSystem ? "multi-user.target" : "default.target");
        return unit.Section(InstanceUnits.Mark).SetAll(forward.Remembered).ToString();
    }
}
