using HsmRemote.Services.Native;
using HsmRemote.Services.Systemd;

namespace HsmRemote.Services.Server;

/// <summary>Decides what an instance is to be: what was given, else what is installed, else the default.</summary>
static class InstanceDecision
{
    const UnixFileMode OwnerMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
    const UnixFileMode GroupMode = OwnerMode | UnixFileMode.GroupRead | UnixFileMode.GroupWrite;

    // Before, systemd.socket(5) means an IP address by a source, and the limit has no effect on a Unix socket: run on 252.
    const int LimitPerUser = 257;

    /// <param name="spec">What was given.</param>
    /// <param name="layout">The instance.</param>
    /// <param name="installed">The instance as it is there.</param>
    /// <param name="moving">The instance of the other scope that this one replaces.</param>
    /// <param name="from">Where the instance is so far, when it is of that scope, or gets another name.</param>
    /// <param name="systemd">The systemd that it is for.</param>
    /// <param name="reporter">Told what an administrator may not expect.</param>
    /// <exception cref="HsmRemoteException">What was given does not fit together.</exception>
    internal static InstanceState Of(
        P11KitServerSpec spec, InstanceLayout layout, P11KitServer? installed, P11KitServer? moving, InstanceLayout? from, ISystemdManager systemd, IReporter reporter)
    {
        var mode = spec.Mode ?? installed?.Mode ?? moving?.Mode ?? P11KitServerMode.PerConnection;
        var isUser = layout.Scope == P11KitServerScope.User;
        InstanceRules.CheckFitsMode(spec, mode);
        if (isUser && (spec.Group is not null || spec.GroupId is not null || spec.ServiceUser is not null || !string.IsNullOrEmpty(spec.PeerUser ?? spec.PeerGroup)))
        {
            throw new HsmRemoteException(
                "GroupNotForUser", FailureKind.InvalidArgument, "An instance of -Scope User is for that user alone: its socket can have no other group, it runs as nobody else, and no other peer could reach it.",
                "Leave -Group, -GroupId, -ServiceUser, -PeerUser and -PeerGroup out, or install it for the machine: -Scope System.", layout.Name);
        }

        if (isUser && !File.Exists($"/var/lib/systemd/linger/{Caller.UserName}"))
            reporter.Warning($"The instance ends with the last session of {Caller.UserName}, and does not start with the machine, until root runs: loginctl enable-linger {Caller.UserName}");

        // What was asked for goes along to another scope; who may use the socket there, and where it is, does not.
        var known = installed ?? moving;
        var perConnection = mode == P11KitServerMode.PerConnection;
        var perSource = spec.MaxConnectionsPerSource ?? (perConnection ? known?.MaxConnectionsPerSource : null);
        if (spec.MaxConnectionsPerSource > 0 && systemd.Version is > 0 and < LimitPerUser and var version)
            reporter.Warning($"systemd {version} does not heed -MaxConnectionsPerSource on a Unix socket; from {LimitPerUser} on it counts by the peer's user.");
        var daemon = mode == P11KitServerMode.Daemon;
        // A run that was cut short may have left our socket with the service of before.
        var adopted = installed is { IsManaged: false }
            || (Adoption.Has(layout) && !ServerInventory.IsOurs(layout.ServiceTemplatePath) && !ServerInventory.IsOurs(layout.UnitPath(layout.Service))) ? installed : null;
        var state = new InstanceState(
            layout,
            spec.SocketPath ?? installed?.SocketPath ?? layout.DefaultSocketPath,
            spec.SocketMode ?? Bits(installed?.SocketMode) ?? (Bits(moving?.SocketMode) is { } moved and not (OwnerMode or GroupMode) ? moved : isUser ? OwnerMode : GroupMode),
            InstanceGroup.Given(spec.Group, spec.GroupId, spec.Name)
            // Whoever wrote -g meant those, whatever the file has.
            ?? (installed is { IsManaged: false, PeerGroup: { } peers } ? peers : installed?.Group)
            ?? "root",
            SandboxRequest.Of(spec, adopted is not null
                ? AdoptedService.RequestOf(spec, layout, systemd, adopted, reporter)
                : SandboxRequest.Installed(from is null ? [layout] : [layout, from])))
        {
            Mode = mode,
            // A daemon that is to run as somebody else makes a socket of that account's.
            SocketUser = (adopted is null ? UnitFile.ValueOf(layout.SocketUnitPath, "SocketUser") : daemon && spec.ServiceUser is not null ? null : adopted.SocketUser) ?? "root",
            MaxConnections = spec.MaxConnections ?? (perConnection && known is { IsManaged: true } ? known.MaxConnections : null) ?? 256,
            MaxConnectionsPerSource = perSource > 0 ? perSource : null,
            PeerUser = daemon ? Given(spec.PeerUser, installed?.PeerUser) : null,
            PeerGroup = daemon ? Given(spec.PeerGroup, installed?.PeerGroup) : null,
        };
        if (spec.PeerUser is { Length: > 0 } || spec.PeerGroup is { Length: > 0 })
            WarnOfPeers(state, reporter);
        return state;
    }

    // As a unit's file has it, which systemd passes over where it is none.
    static UnixFileMode? Bits(string? octal) =>
        octal is { Length: > 0 and <= 5 } && octal.All(c => c is >= '0' and <= '7') && Convert.ToInt32(octal, 8) is <= 0xFFF and var mode ? (UnixFileMode)mode : null;

    static string? Given(string? given, string? installed) => given is null ? installed : given.Length > 0 ? given : null;

    static void WarnOfPeers(InstanceState state, IReporter reporter)
    {
        var user = state.PeerUser is { } name ? $"whose user is {name}" : null;
        var group = state.PeerGroup is { } primary ? $"whose primary group is {primary}" : null;
        reporter.Warning(
            $"Only processes {string.Join(" and ", new[] { user, group }.OfType<string>())} can connect."
            + (state.PeerUser is "root" || (user is null && group is null) ? "" : " Root cannot, unless it is so.")
            + (group is null ? "" : " A supplementary group, such as a container's --group-add, does not count.")
            + " The permissions of the socket have to let them, too.");
    }
}
