using HsmRemote.Services.Native;
using HsmRemote.Services.Systemd;

namespace HsmRemote.Services.Server;

/// <summary>What an instance is to systemd in its mode: unit files by name, and the unit that listens, which is enabled and started.</summary>
sealed record InstanceForm(string Listener, IReadOnlyDictionary<string, string> Units)
{
    // With no target, p11-kit server ends at once, and there would be no socket. This is a token that nobody has.
    internal const string NoToken = "pkcs11:manufacturer=none;model=none;serial=none;token=none";

    const string RootGroup = "root";

    /// <param name="instance">The instance.</param>
    /// <param name="p11Kit">The p11-kit command.</param>
    /// <param name="canBeActivated">Whether its server takes over systemd's socket; asked where that decides.</param>
    /// <param name="variables">Variables of its configuration file that are not the target's.</param>
    /// <param name="sandbox">What its service may not do.</param>
    /// <exception cref="HsmRemoteException">What the mode needs of p11-kit is not installed.</exception>
    internal static InstanceForm Of(
        InstanceState instance, string p11Kit, Func<bool> canBeActivated, IReadOnlyList<string> variables, IReadOnlyList<(string Directive, string Value)> sandbox) =>
        instance.Mode switch
        {
            P11KitServerMode.Acceptor => WithSocket(instance, Acceptor(instance, p11Kit, variables, sandbox)),
            P11KitServerMode.Daemon when canBeActivated() => WithSocket(instance, ActivatedDaemon(instance, p11Kit, sandbox)),
            P11KitServerMode.Daemon => Of(instance.Layout.Service, (instance.Layout.Service, Daemon(instance, p11Kit, sandbox))),
            _ => Of(
                instance.Layout.SocketUnit,
                (instance.Layout.SocketUnit, InstanceUnits.Socket(instance)),
                (instance.Layout.ServiceTemplate, InstanceUnits.Service(instance, p11Kit, sandbox))),
        };

    static InstanceForm Of(string listener, params IEnumerable<(string Unit, string Content)> units) =>
        new(listener, units.ToDictionary(u => u.Unit, u => u.Content, StringComparer.Ordinal));

    /// <summary>systemd's socket, and one service that takes it over.</summary>
    static InstanceForm WithSocket(InstanceState instance, string service) => Of(
        instance.Layout.SocketUnit,
        (instance.Layout.SocketUnit, InstanceUnits.EndSocket(InstanceUnits.BeginSocket(instance), instance)),
        (instance.Layout.Service, service));

    /// <summary>One process that accepts, sandboxed once, and starts p11-kit remote for each connection in the same sandbox.</summary>
    internal static string Acceptor(
        InstanceState instance, string p11Kit, IReadOnlyList<string> variables, IReadOnlyList<(string Directive, string Value)> sandbox)
    {
        // It passes on PATH, HOME, USER and TERM only, and what it is told to; a variable that is not set would become an empty one.
        var passed = sandbox.Where(d => d.Directive is "Environment").Select(d => d.Value.TrimStart('"').Split('=')[0])
            .Concat(variables).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal);
        return InstanceUnits.End(
            BeginService(instance, ("Requires", instance.Layout.SocketUnit))
                .Comment("systemd-socket-activate(1) takes over the socket. Unbraced, so that several URIs become several arguments.")
                .Set("ExecStart", $"/usr/bin/systemd-socket-activate --accept --inetd {string.Concat(passed.Select(name => $"-E {name} "))}{UnitFile.Literal(p11Kit)} remote ${InstanceLayout.TargetVariable}")
                .Comment("It ends when it cannot start one more process, and its connections with it: this is where that is.")
                .Set("TasksMax", "1024")
                .SetAll(sandbox),
            instance);
    }

    /// <summary>A p11-kit server that takes over systemd's socket.</summary>
    internal static string ActivatedDaemon(InstanceState instance, string p11Kit, IReadOnlyList<(string Directive, string Value)> sandbox) => InstanceUnits.End(
        BeginService(instance, ("Requires", instance.Layout.SocketUnit))
            .Comment("It removes the socket's path when it ends, which is systemd's: to this service, it is not there.")
            .Set("ExecStart", Server(instance, p11Kit))
            .Set("SuccessExitStatus", "255")
            .SetAll(sandbox)
            .SetAll(PeerGroups(instance))
            .Set("InaccessiblePaths", UnitFile.Word($"-{Path.GetDirectoryName(instance.SocketPath)}")),
        instance);

    /// <summary>A p11-kit server that makes its socket by itself, which nobody but its owner can use until it is what it should be.</summary>
    internal static string Daemon(InstanceState instance, string p11Kit, IReadOnlyList<(string Directive, string Value)> sandbox)
    {
        var directory = Path.GetDirectoryName(instance.SocketPath)!;
        var isUser = instance.Layout.Scope == P11KitServerScope.User;
        var (group, mode) = AccessOf(instance);
        return InstanceUnits.End(
            BeginService(instance)
                .Comment("The directory stays when the service stops: a container that has mounted it goes on.")
                .Set("RuntimeDirectory", UnitFile.Word(Path.GetRelativePath(instance.Layout.RuntimeRoot, directory)))
                .Set("RuntimeDirectoryPreserve", "yes")
                .Comment("Closed until the socket has its owner and mode: p11-kit gives it others first.")
                .Set("RuntimeDirectoryMode", "0700")
                .Comment("As the service and in its sandbox: whoever takes over the service decides what is in the directory.")
                .Set("ExecStartPre", $"/bin/rm -f {UnitFile.Argument(instance.SocketPath)}")
                .Set("ExecStart", Server(instance, p11Kit))
                // chrt(1) only asks whether the server is still there: the sandbox refuses kill and hides /proc.
                .Set("ExecStartPost", "/bin/sh -c "
                    + UnitFile.Argument("until test -S \"$0\"; do chrt -p \"$MAINPID\" >/dev/null || exit 1; sleep 0.02; done; "
                        + "{ test -z \"$1\" || chgrp \"$1\" \"$0\"; } && chmod \"$2\" \"$0\" && chmod 0755 \"$3\"")
                    + $" {UnitFile.Argument(instance.SocketPath)} {UnitFile.Argument(group)} {mode} {UnitFile.Argument(directory)}")
                .Comment("What it ends with when it is asked to.")
                .Set("SuccessExitStatus", "255")
                .SetAll(sandbox)
                .SetAll(SocketGroups(group))
                .SetAll(PeerGroups(instance))
                .Set("BindPaths", UnitFile.Word(directory))
                .Section("Install")
                .Set("WantedBy", isUser ? "default.target" : "multi-user.target"),
            instance,
            [("SocketMode", mode), ("SocketGroup", group), .. instance.Origin?.Lines ?? []]);
    }

    /// <summary>The group and the mode of a socket that the server makes by itself; no group: the one that it has.</summary>
    static (string Group, string Mode) AccessOf(InstanceState instance)
    {
        if (instance.Layout.Scope == P11KitServerScope.User)
            return ("", instance.OctalMode);
        if (instance is not { Group: RootGroup, Sandbox.User: { } name } || Accounts.FindUser(name) is not { } user)
            return (instance.Group, instance.OctalMode);
        // Nobody is in root's group but root, who needs no permission, and the account is not put into it: to the socket, its
        // own group is like others.
        var mode = (int)instance.SocketMode;
        mode = (mode & ~0b111_000) | ((mode & 0b111) << 3);
        return (Accounts.FindGroup(user.GroupId)?.Name ?? $"{user.GroupId}", (instance with { SocketMode = (UnixFileMode)mode }).OctalMode);
    }

    // Who is not root may give a file to a group only that it is in; neither may root without its capabilities.
    static IEnumerable<(string Directive, string Value)> SocketGroups(string group) =>
        group is "" or RootGroup ? [] : [("SupplementaryGroups", UnitFile.Word(group))];

    static UnitFile BeginService(InstanceState instance, params IEnumerable<(string Directive, string Value)> relations) => InstanceUnits.Begin(instance, instance.Layout.Service)
        .SetAll(relations)
        .Set("StartLimitIntervalSec", "0")
        .Section("Service")
        .Comment("Read when the service starts. No target: nothing is exposed.")
        .SetLiteral("EnvironmentFile", instance.Layout.ConfigPath)
        .Comment("Its own address in its environment would make it connect to itself without end.")
        .Set("UnsetEnvironment", "P11_KIT_SERVER_ADDRESS")
        .Set("Restart", "always")
        .Set("RestartSec", "1s");

    static string Server(InstanceState instance, string p11Kit) =>
        $"{UnitFile.Literal(p11Kit)} server -f -n {UnitFile.Argument(instance.SocketPath)} "
        + (instance.PeerUser is { } user ? $"-u {UnitFile.Argument(user)} " : "")
        + (instance.PeerGroup is { } group ? $"-g {UnitFile.Argument(group)} " : "")
        + $"${InstanceLayout.TargetVariable} {NoToken}";

    // From 0.25.0 on it gives the socket to that group, for which it has to be in it.
    static IEnumerable<(string Directive, string Value)> PeerGroups(InstanceState instance) =>
        instance.PeerGroup is { } group ? [("SupplementaryGroups", UnitFile.Word(group))] : [];
}
