using System.Text;
using System.Text.RegularExpressions;
using HsmRemote.Services.Native;
using HsmRemote.Services.Sockets;
using HsmRemote.Services.Systemd;

namespace HsmRemote.Services.Server;

/// <summary>What an instance's name, socket and group may be. All of it is checked before anything is changed.</summary>
static partial class InstanceRules
{
    internal static bool IsName(string name) => Name().IsMatch(name);

    internal static void CheckName(string name)
    {
        if (!IsName(name))
        {
            throw new HsmRemoteException(
                "NameInvalid", FailureKind.InvalidArgument,
                $"'{name}' cannot be an instance's name: it becomes the name of units and directories.",
                "Use letters, digits, '-', '_' and '.', with a letter or digit first, at most 64.", name);
        }
    }

    /// <summary>Refuses a name whose units are somebody else's, and units that are masked.</summary>
    /// <param name="systemd">The systemd of the instance.</param>
    /// <param name="layout">The instance.</param>
    /// <param name="adopts">Whether units of somebody else are what is to be taken over.</param>
    internal static void CheckUnitsAreFree(ISystemdManager systemd, InstanceLayout layout, bool adopts)
    {
        foreach (var unit in layout.Units)
        {
            var state = systemd.FileState(unit);
            if (state.StartsWith("masked", StringComparison.Ordinal))
            {
                throw new HsmRemoteException(
                    "UnitMasked", FailureKind.InvalidOperation, $"{unit} is masked, so it cannot be started.", $"Run: {SystemdTools.Systemctl(layout.Scope)} unmask {unit}", unit);
            }

            // A service of a package stays where it is under the units of an instance that was taken over.
            if (state.Length > 0 && !adopts && !ServerInventory.IsOurs(layout.UnitPath(unit)) && !Adoption.Has(layout))
            {
                throw new HsmRemoteException(
                    "NameInUse", FailureKind.Exists, $"There is a unit {unit} that HsmRemote did not install, so no instance can be called '{layout.Name}'.",
                    "Choose another -Name. If it is a p11-kit server, Get-P11KitServer shows it, and -Adopt takes it over.", layout.Name);
            }
        }
    }

    /// <summary>Refuses a directory of configuration that somebody else than root could put files into.</summary>
    internal static void CheckConfigDirectory(InstanceLayout layout)
    {
        if (FileStatus.TryRead(layout.ConfigDirectory, out var status) != 0)
            return;
        var why = !status.IsDirectory ? $"it is {status.TypeName}"
            : status.UserId != 0 && status.UserId != Accounts.geteuid() ? $"it belongs to the user {Accounts.FindUser(status.UserId)?.Name ?? $"{status.UserId}"}"
            : status.GroupMayWrite || status.OthersMayWrite ? "others than its owner may write to it"
            : null;
        if (why is null)
            return;
        throw new HsmRemoteException(
            "ConfigDirectoryUnsafe", FailureKind.PermissionDenied, $"{layout.ConfigDirectory} cannot hold the configuration of '{layout.Name}': {why}.",
            "Move it away, make it root's with mode 0755, or choose another -Name.", layout.ConfigDirectory);
    }

    /// <summary>Refuses to take files of somebody else for the configuration of a new instance, with which they would go.</summary>
    internal static void CheckConfigIsFree(InstanceLayout layout)
    {
        foreach (var (path, mark) in new[] { (layout.ConfigPath, TargetFile.Mark), (layout.SysusersPath, InstanceGroup.Mark) })
        {
            if (File.Exists(path) && !UnitFile.TextOf(path).Contains(mark, StringComparison.Ordinal))
            {
                throw new HsmRemoteException(
                    "ConfigInUse", FailureKind.InvalidOperation, $"There is a file {path} that HsmRemote did not write, so no instance can be called '{layout.Name}': it would be read, and removed with the instance.",
                    "Choose another -Name, or move the file away.", path);
            }
        }
    }

    /// <summary>Refuses a path that no socket of the instance can have.</summary>
    /// <param name="path">The path.</param>
    /// <param name="name">The instance.</param>
    /// <param name="servers">The instances that there are.</param>
    /// <param name="own">The path in the socket unit of the instance, which is no server as long as a drop-in has it run something else.</param>
    internal static void CheckSocketPath(string path, string name, IReadOnlyList<P11KitServer> servers, string? own = null)
    {
        if (!path.StartsWith('/') || path.EndsWith('/') || path.Any(char.IsControl)
            || !string.Equals(Path.GetFullPath(path), path, StringComparison.Ordinal))
            throw Invalid("it must be absolute, without '.' or '..', and the path of a file");
        SystemdText.RequireLine(path, "the socket's path");
        if (Encoding.UTF8.GetByteCount(path) is > UnixSocketConnector.MaxPathBytes and var length)
            throw Invalid($"it has {length} bytes, and Linux allows a socket's path {UnixSocketConnector.MaxPathBytes}");
        if (FileStatus.TryRead(path, out var status) == 0 && !status.IsSocket)
            throw Invalid("there is something else than a socket");
        if (servers.FirstOrDefault(s => IsIt(s.SocketPath) && !string.Equals(s.Name, name, StringComparison.Ordinal)) is { } other)
            throw Invalid($"the instance '{other.Name}' has it");
        // systemd would take its place, and whoever connects would come here.
        if (status.IsSocket && !IsIt(own) && !servers.Any(s => IsIt(s.SocketPath)) && IsListenedOn(path))
            throw Invalid("another program listens on it");

        bool IsIt(string? known) => known is ['/', ..] && SamePath.Is(known, path);

        HsmRemoteException Invalid(string why) => new(
            "SocketPathInvalid", FailureKind.InvalidArgument, $"'{path}' cannot be the socket of '{name}': {why}.", $"Leave -SocketPath out for /run/{name}/pkcs11.", path);
    }

    /// <summary>Whether a process of this network namespace listens on a socket, as /proc/net/unix has it: unix(7), proc(5).</summary>
    static bool IsListenedOn(string path)
    {
        const string Listening = "00010000";
        const int PathField = 7;
        // The path is what the program called it.
        return File.ReadLines("/proc/net/unix")
            .Where(line => line.EndsWith($"/{Path.GetFileName(path)}", StringComparison.Ordinal))
            .Select(line => line.Split(' ', PathField + 1, StringSplitOptions.RemoveEmptyEntries))
            .Any(fields => fields is [_, _, _, Listening, _, _, _, ['/', ..] bound] && SamePath.Is(bound, path));
    }

    /// <summary>Refuses what a mode cannot honour.</summary>
    internal static void CheckFitsMode(P11KitServerSpec spec, P11KitServerMode mode)
    {
        if (mode != P11KitServerMode.PerConnection && (spec.MaxConnections is not null || spec.MaxConnectionsPerSource is not null))
        {
            throw new HsmRemoteException(
                "LimitNotInMode", FailureKind.InvalidArgument, $"In {mode} mode nothing counts the connections, so they cannot be limited.",
                "Leave -MaxConnections and -MaxConnectionsPerSource out, or use -Mode PerConnection.", spec.Name);
        }

        if (mode != P11KitServerMode.Daemon && (spec.PeerUser is not null || spec.PeerGroup is not null))
        {
            throw new HsmRemoteException(
                "PeerNotInMode", FailureKind.InvalidArgument, $"-PeerUser and -PeerGroup are checks of 'p11-kit server', which {mode} mode does not run.",
                "Leave them out: -Group and -SocketMode decide who connects. Or use -Mode Daemon.", spec.Name);
        }

        if (spec.PeerUser is { Length: > 0 } user && Accounts.FindUser(user) is null)
        {
            throw new HsmRemoteException(
                "PeerUserNotFound", FailureKind.NotFound, $"There is no user '{user}', and p11-kit takes no number.", "Use a name that 'getent passwd' lists.", user);
        }

        if (spec.PeerGroup is { Length: > 0 } group && Accounts.FindGroup(group) is null)
        {
            throw new HsmRemoteException(
                "PeerGroupNotFound", FailureKind.NotFound, $"There is no group '{group}', and p11-kit takes no number.", "Use a name that 'getent group' lists.", group);
        }
    }

    /// <summary>Refuses a socket that the server makes by itself, and that is not in a directory of its own.</summary>
    /// <param name="instance">The instance.</param>
    /// <param name="form">What it is to systemd.</param>
    /// <param name="service">The service that systemd has of it, if there is one.</param>
    /// <param name="installed">The path of the socket that there is.</param>
    internal static void CheckForm(InstanceState instance, InstanceForm form, UnitProperties? service, string? installed)
    {
        if (string.Equals(form.Listener, instance.Layout.SocketUnit, StringComparison.Ordinal))
            return;
        var root = instance.Layout.RuntimeRoot;
        // systemd.exec(5) takes a colon in RuntimeDirectory= and BindPaths= for the end of the path.
        if (instance.SocketPath.Contains(':', StringComparison.Ordinal) || !instance.SocketPath.StartsWith($"{root}/", StringComparison.Ordinal) || string.Equals(Path.GetDirectoryName(instance.SocketPath), root, StringComparison.Ordinal))
        {
            throw new HsmRemoteException(
                "SocketPathInvalid", FailureKind.InvalidArgument,
                $"'{instance.SocketPath}' cannot be the socket of '{instance.Layout.Name}': the p11-kit of this host makes the socket by itself in Daemon mode, in a directory of its own below {root}, with no ':' in its name.",
                $"Leave -SocketPath out for {instance.Layout.DefaultSocketPath}, or use another -Mode.", instance.SocketPath);
        }

        if (instance.SocketUser is not "root" && !string.Equals(instance.SocketUser, instance.Sandbox.User, StringComparison.Ordinal))
        {
            throw new HsmRemoteException(
                "SocketUserNotInMode", FailureKind.InvalidArgument,
                $"The socket of '{instance.Layout.Name}' belongs to {instance.SocketUser}, and in Daemon mode the p11-kit of this host makes the socket by itself: it would be {instance.Sandbox.User ?? "root"}'s.",
                $"Use -Mode PerConnection or -Mode Acceptor, in which the socket stays {instance.SocketUser}'s, or have the service run as its owner: -ServiceUser {instance.SocketUser}.", instance.SocketUser);
        }

        var directory = Path.GetDirectoryName(instance.SocketPath)!;
        if (service?.Texts("RuntimeDirectory").Contains(Path.GetRelativePath(root, directory), StringComparer.Ordinal) is true || WhoseElse(instance, directory, installed) is not { } why)
            return;
        throw new HsmRemoteException(
            "SocketDirectoryTaken", FailureKind.Exists,
            $"'{instance.Layout.Name}' cannot have its socket in {directory}: in Daemon mode systemd makes the directory, and all that is in it, the service's own, and {why}.",
            $"Use a -SocketPath in a directory that is not there yet, or another -Mode. Or remove {directory}, if nobody needs it.", directory);
    }

    /// <summary>Why a directory cannot be the instance's own; null when it can.</summary>
    static string? WhoseElse(InstanceState instance, string directory, string? installed)
    {
        if (FileStatus.TryReadLink(directory, out var status) != 0)
            return null;
        if (!status.IsDirectory)
            return $"it is {status.TypeName}";
        if (status.UserId != (instance.Layout.UserId ?? 0) && status.UserId != (instance.Sandbox.User is { } user ? Accounts.FindUser(user)?.Id : null))
            return $"it belongs to the user {Accounts.FindUser(status.UserId)?.Name ?? $"{status.UserId}"}";
        return Directory.EnumerateFileSystemEntries(directory).FirstOrDefault(path =>
            !string.Equals(path, instance.SocketPath, StringComparison.Ordinal) && !string.Equals(path, installed, StringComparison.Ordinal)) is { } other
            ? $"{other} is there" : null;
    }

    /// <summary>Refuses a group that cannot be had under its name and number.</summary>
    internal static void CheckGroup(string group, uint? id)
    {
        var known = Accounts.FindGroup(group);
        if (known is null && !GroupName().IsMatch(group))
        {
            throw new HsmRemoteException(
                "GroupInvalid", FailureKind.InvalidArgument, $"There is no group '{group}', and systemd-sysusers would not create one of that name.",
                "Use lower-case letters, digits, '-' and '_', with a letter or '_' first, at most 31.", group);
        }

        if (known is not null && id is not null && known.Id != id)
        {
            throw new HsmRemoteException(
                "GroupIdMismatch", FailureKind.Exists, $"The group '{group}' is there with the id {known.Id}, not {id}; renumbering it would orphan its files.",
                $"Leave -GroupId out, or use -GroupId {known.Id}, or another -Group.", group);
        }

        if (known is null && id is { } wanted && Accounts.FindGroup(wanted) is { } holder)
        {
            throw new HsmRemoteException(
                "GroupIdInUse", FailureKind.Exists, $"The group id {wanted} that '{group}' is to have is that of the group '{holder.Name}'.",
                $"Use -Group {holder.Name}, or another -GroupId.", group);
        }
    }

    [GeneratedRegex(@"\A[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\z", RegexOptions.CultureInvariant, 1000)]
    private static partial Regex Name();

    // What systemd takes for a name in strict mode (systemd.io/USER_NAMES).
    [GeneratedRegex(@"\A[a-z_][a-z0-9_-]{0,30}\z", RegexOptions.CultureInvariant, 1000)]
    private static partial Regex GroupName();
}
