using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using HsmRemote.Services.Containers;

namespace HsmRemote.Services.Forwarding;

/// <summary>A forward with nothing left to decide.</summary>
sealed record ForwardSettings(ForwardLayout Layout, P11ForwardDirection Direction, string HostName, string SocketPath, string RemotePath)
{
    internal int? Port { get; init; }

    internal string? UserName { get; init; }

    internal string? KeyPath { get; init; }

    internal string? SshConfig { get; init; }

    internal string? ColimaProfile { get; init; }

    /// <summary>The directory with colima's configuration and the host keys; null: where the tunnel has them.</summary>
    internal string? ColimaFiles { get; init; }

    internal string? ServerName { get; init; }

    internal string SocketMode { get; init; } = "0600";

    internal string? Owner { get; init; }

    internal string? Group { get; init; }

    /// <summary>Whether the directory of the socket that is made was missing, and goes with the forward.</summary>
    internal bool MakesDirectory { get; init; }

    /// <summary>The socket that the forward makes: over there, or here.</summary>
    internal string MadePath => Direction == P11ForwardDirection.Push ? RemotePath : SocketPath;

    /// <summary>Whether the other makes its socket where this does.</summary>
    internal bool IsAtPlaceOf(ForwardSettings other) =>
        Direction == other.Direction && string.Equals(MadePath, other.MadePath, StringComparison.Ordinal) && string.Equals(HostName, other.HostName, StringComparison.Ordinal);

    /// <summary>The socket that it leads to: here, or over there.</summary>
    internal string ServedPath => Direction == P11ForwardDirection.Push ? SocketPath : RemotePath;

    /// <summary>The host for a person to read, as ssh's own messages have it.</summary>
    internal string Host => $"{(UserName is null ? "" : $"{UserName}@")}{HostName}{(Port is null ? "" : $" port {Port}")}";

    /// <summary>The ssh that reaches the host by hand, to be pasted into a shell.</summary>
    internal string SshByHand(params IEnumerable<string> options)
    {
        string[] all =
        [
            "ssh", .. options, .. Option("-F", SshConfig), .. Option("-p", Port?.ToString(CultureInfo.InvariantCulture)), .. Identity,
            $"{(UserName is null ? "" : $"{UserName}@")}{HostName}",
        ];
        return ShellWord.Join(all);
    }

    /// <summary>
    /// What the sessions of this forward are known by on the far side: the same after a restart of this machine, and another on
    /// every other machine.
    /// </summary>
    internal string Id
    {
        get
        {
            const int Digits = 16;
            var machine = File.Exists("/etc/machine-id") ? File.ReadAllText("/etc/machine-id").Trim() : Environment.MachineName;
            var seed = $"{machine}\n{Layout.Scope}\n{Native.Caller.UserName}\n{Layout.Name}\n{MadePath}";
            return Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(seed)))[..Digits];
        }
    }

    /// <summary>The options of every ssh that is run for it, ssh(1) and ssh_config(5). What comes first counts: nothing in a file undoes it.</summary>
    internal IReadOnlyList<string> SshOptions
    {
        get
        {
            List<string> options =
            [
                "-T", "-a", "-x",
                .. Option("-F", ColimaProfile is null ? SshConfig : ColimaFiles is null ? Layout.ColimaConfigPath : Path.Combine(ColimaFiles, ForwardLayout.ColimaConfig)),
                .. Option("-p", Port?.ToString(CultureInfo.InvariantCulture)), .. Option("-l", UserName), .. Identity,
            ];
            if (KeyPath is not null)
                Set("IdentitiesOnly", "yes");
            // Nobody is there to answer.
            Set("BatchMode", "yes");
            // Also where a configuration, like colima's, says otherwise.
            Set("StrictHostKeyChecking", "yes");
            Set("NoHostAuthenticationForLocalhost", "no");
            if (ColimaProfile is not null)
            {
                Set("UserKnownHostsFile", ColimaFiles is null ? Layout.KnownHostsPath : Path.Combine(ColimaFiles, ForwardLayout.KnownHosts));
                Set("HostKeyAlias", HostName);
            }

            Set("ConnectTimeout", "10");
            // A link that is cut is noticed after three times five seconds.
            Set("ServerAliveInterval", "5");
            Set("ServerAliveCountMax", "3");
            // What it complains of is read.
            Set("LogLevel", "INFO");
            // The configuration may have forwards of its own, whose ports may be in use. Whether this one's socket is there, its end looks at.
            Set("ExitOnForwardFailure", "no");
            Set("StreamLocalBindMask", "0177");
            Set("StreamLocalBindUnlink", "no");
            // A connection of its own, which ends with the forward.
            Set("ControlMaster", "no");
            Set("ControlPath", "none");
            Set("PermitLocalCommand", "no");
            Set("RemoteCommand", "none");
            return options;

            void Set(string option, string value) => options.AddRange(["-o", $"{option}={value}"]);
        }
    }

    /// <summary>The arguments of tunnel.sh.</summary>
    internal IReadOnlyList<string> TunnelArguments =>
    [
        $"{Direction}", SocketPath, RemotePath, Owner ?? "-", Group ?? "-", SocketMode, Id, ColimaProfile ?? "-", HostName, .. SshOptions,
    ];

    /// <summary>What a unit's own section remembers of it, by key.</summary>
    internal IEnumerable<(string Key, string Value)> Remembered
    {
        get
        {
            (string Key, string? Value)[] all =
            [
                ("Forward", Layout.Name), ("Direction", $"{Direction}"), ("Host", HostName), ("Socket", SocketPath), ("Remote", RemotePath),
                ("Mode", SocketMode), ("Server", ServerName), ("Port", Port?.ToString(CultureInfo.InvariantCulture)), ("User", UserName), ("Key", KeyPath),
                ("SshConfig", SshConfig), ("Colima", ColimaProfile), ("Owner", Owner), ("Group", Group), ("MakesDirectory", MakesDirectory ? "yes" : null),
            ];
            return all.Where(pair => pair.Value is not null).Select(pair => (pair.Key, pair.Value!));
        }
    }

    // A percent sign has to be doubled for ssh, and -i then looks for a file that has two.
    string[] Identity => KeyPath is { } path && path.Contains('%', StringComparison.Ordinal)
        ? ["-o", $"IdentityFile=\"{path.Replace("%", "%%", StringComparison.Ordinal).Replace("\\", @"\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal)}\""]
        : Option("-i", KeyPath);

    static string[] Option(string option, string? value) => value is null ? [] : [option, value];

    /// <summary>The forward that a unit of ours remembers; null when it is another unit.</summary>
    internal static ForwardSettings? From(ForwardLayout layout, ILookup<string, string> remembered)
    {
        if (One("Forward") is null || One("Host") is not { } host || One("Socket") is not { } socket || One("Remote") is not { } remote
            || !Enum.TryParse<P11ForwardDirection>(One("Direction"), out var direction))
        {
            return null;
        }

        return new(layout, direction, host, socket, remote)
        {
            SocketMode = One("Mode") ?? "0600",
            ServerName = One("Server"),
            Port = int.TryParse(One("Port"), CultureInfo.InvariantCulture, out var port) ? port : null,
            UserName = One("User"),
            KeyPath = One("Key"),
            SshConfig = One("SshConfig"),
            ColimaProfile = One("Colima"),
            Owner = One("Owner"),
            Group = One("Group"),
            MakesDirectory = One("MakesDirectory") is "yes",
        };

        string? One(string key) => remembered[key].FirstOrDefault();
    }
}
