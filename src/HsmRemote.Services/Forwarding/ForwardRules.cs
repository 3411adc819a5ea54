using System.Text;
using System.Text.RegularExpressions;
using HsmRemote.Services.Server;
using HsmRemote.Services.Sockets;
using HsmRemote.Services.Systemd;

namespace HsmRemote.Services.Forwarding;

/// <summary>What the values of a forward may be, and what the ends have to be like. All of it is checked before anything is changed.</summary>
static partial class ForwardRules
{
    // Room for what is tried beside the socket before it is made.
    const int MaxPathBytes = UnixSocketConnector.MaxPathBytes - 16;

    internal static void Check(ForwardSettings forward)
    {
        CheckName(forward.Layout.Name);
        CheckPath(forward.SocketPath, "-SocketPath");
        CheckPath(forward.RemotePath, "-RemotePath");
        if (!HostName().IsMatch(forward.HostName))
            throw Invalid("HostNameInvalid", $"'{forward.HostName}' is no name of a host.", "Give a name, an address (of IPv6 without brackets) or an alias of ssh's configuration; the user with -User, and the port with -Port.", forward.HostName);
        foreach (var (account, parameter) in new[] { (forward.UserName, "-User"), (forward.Owner, "-Owner"), (forward.Group, "-Group") })
        {
            if (account is not null && !Account().IsMatch(account))
                throw Invalid("AccountInvalid", $"'{account}' cannot be the value of {parameter}.", "Give the name or the number of an account, in letters, digits, '-', '_' and '.'.", account);
        }

        foreach (var (file, parameter) in new[] { (forward.KeyPath, "-KeyPath"), (forward.SshConfig, "-SshConfig") })
        {
            if (file is null)
                continue;
            SystemdText.RequireLine(file, parameter);
            if (!File.Exists(file))
                throw new HsmRemoteException("SshFileMissing", FailureKind.NotFound, $"The file of {parameter}, {file}, is not there, or may not be seen.", "Name one that the caller can read.", file);
        }
    }

    internal static void CheckName(string name)
    {
        if (!InstanceRules.IsName(name))
        {
            throw Invalid(
                "ForwardNameInvalid", $"'{name}' cannot be a forward's name: it becomes the name of a unit and of directories.",
                "Give one with -ForwardName, of letters, digits, '-', '_' and '.', with a letter or digit first, at most 64.", name);
        }
    }

    /// <summary>Paths that ssh, systemd and any shell read as they are: ssh's -R and -L have no way to write a colon.</summary>
    static void CheckPath(string path, string parameter)
    {
        if (!SafePath().IsMatch(path) || !string.Equals(Path.GetFullPath(path), path, StringComparison.Ordinal))
        {
            throw Invalid(
                "ForwardPathInvalid", $"'{path}' cannot be the value of {parameter}: ssh and the shell of the far side would not read it as it is.",
                "Give an absolute path of letters, digits, '/', '-', '_', '.', '+', '@' and ',', without '.' and '..' as names.", path);
        }

        if (Encoding.UTF8.GetByteCount(path) is > MaxPathBytes and var length)
        {
            throw Invalid(
                "ForwardPathInvalid", $"'{path}' has {length} bytes; a socket that travels may have {MaxPathBytes}.", "Use a shorter path.", path);
        }
    }

    /// <summary>Refuses to make the socket where it cannot be made, or where others could put something in its place.</summary>
    internal static void CheckEnd(ForwardSettings forward, EndView end, bool isOurs)
    {
        var where = forward.Direction == P11ForwardDirection.Push ? $"on {forward.HostName} as {end.UserName}" : "on this host";
        var directory = Path.GetDirectoryName(forward.MadePath)!;
        switch (end.Directory)
        {
            case "unreachable" or "file":
                throw Unusable("is not there and cannot be made", $"Make it there: `mkdir {directory}`; below /run, with a line for systemd-tmpfiles, so that it is there after a restart.");
            case "closed":
                throw Unusable("may not be written to", $"Choose another path, or let {end.UserName} write to it.");
            case "open":
                throw Unusable("may be written to by everyone, who could put another socket in place of this one", $"Take that away, `chmod o-w {directory}`, or let only the owners of files remove them, `chmod +t {directory}`.");
        }

        switch (end.Path)
        {
            case "free" or "stale":
                break;
            case "live" when isOurs || end.HasSession:
                break;
            case "live":
                throw new HsmRemoteException(
                    "ForwardPathInUse", FailureKind.Exists, $"Somebody listens on {forward.MadePath} {where}, so the socket cannot be made there.",
                    $"See who: `ss -xlp src {forward.MadePath}`. Or choose another path.", forward.MadePath);
            case "unknown":
                throw new HsmRemoteException(
                    "ForwardPathUnclear", FailureKind.Exists, $"There is a socket at {forward.MadePath} {where}, and whether somebody listens on it cannot be found out, so it is not removed.",
                    "Remove it if nobody does, or choose another path.", forward.MadePath);
            default:
                throw new HsmRemoteException(
                    "ForwardPathTaken", FailureKind.Exists, $"What is at {forward.MadePath} {where} is no socket: {end.Path}. It is not touched.", "Choose another path.", forward.MadePath);
        }

        foreach (var (key, name, parameter) in new[] { ("Owner", forward.Owner, "-Owner"), ("Group", forward.Group, "-Group") })
        {
            if (end.Values.GetValueOrDefault(key) is { } problem)
            {
                throw new HsmRemoteException(
                    "ForwardAccountUnusable", problem is "missing" ? FailureKind.NotFound : FailureKind.PermissionDenied,
                    problem is "missing" ? $"There is no {key.ToLowerInvariant()} '{name}' {where}." : $"{end.UserName} may not give a file to the {key.ToLowerInvariant()} '{name}' {where}.",
                    problem is "missing" ? $"Give {parameter} one that is there, or its number." : "Log in there as root, or as one who is in that group.", name);
            }
        }

        HsmRemoteException Unusable(string why, string remedy) => new(
            "ForwardDirectoryUnusable", FailureKind.PermissionDenied, $"The directory {directory} {where} {why}.", remedy, directory);
    }

    static HsmRemoteException Invalid(string errorId, string message, string remedy, object target) => new(errorId, FailureKind.InvalidArgument, message, remedy, target);

    [GeneratedRegex(@"\A/[A-Za-z0-9/_.+@,-]*[A-Za-z0-9_.+@,-]\z", RegexOptions.CultureInvariant, 1000)]
    private static partial Regex SafePath();

    [GeneratedRegex(@"\A[A-Za-z0-9_:][A-Za-z0-9_.:%-]*\z", RegexOptions.CultureInvariant, 1000)]
    private static partial Regex HostName();

    [GeneratedRegex(@"\A[A-Za-z0-9_][A-Za-z0-9_.-]*\$?\z", RegexOptions.CultureInvariant, 1000)]
    private static partial Regex Account();
}
