using HsmRemote.Services.Native;

namespace HsmRemote.Services.Forwarding;

/// <summary>The virtual machine of a profile of colima, as <c>colima ssh-config</c> tells of it.</summary>
static class Colima
{
    /// <summary>The profile that colima uses when none is named.</summary>
    internal const string DefaultProfile = "default";

    /// <summary>What ssh is to call the virtual machine: the first name of the first Host line of its configuration.</summary>
    /// <exception cref="HsmRemoteException">There is no colima, no such profile, or it has no such line.</exception>
    internal static async Task<(string Host, string Config)> ReadAsync(string profile, CancellationToken cancellationToken)
    {
        var config = await RunAsync(profile, ["ssh-config", profile], cancellationToken);
        return (HostOf(config) ?? throw Failed(profile, "ssh-config has no line that begins with 'Host'"), config);
    }

    /// <summary>The name of the host that a configuration for ssh is about, or null.</summary>
    internal static string? HostOf(string config) => config.Split('\n')
        .Select(line => line.Split([' ', '\t'], StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        .FirstOrDefault(words => words.Length > 1 && words[0].Equals("Host", StringComparison.OrdinalIgnoreCase))?[1];

    /// <summary>
    /// The virtual machine's host keys as a known_hosts file. colima's own configuration does not check them, so they are
    /// asked for once, over colima's own connection, and are held to from then on.
    /// </summary>
    internal static async Task<string> KnownHostsAsync(string profile, string host, CancellationToken cancellationToken)
    {
        var keys = await RunAsync(profile, ["ssh", "--profile", profile, "--", "sh", "-c", "cat /etc/ssh/ssh_host_*_key.pub"], cancellationToken);
        return KnownHosts(keys, host) is { Length: > 0 } known ? known : throw Failed(profile, "the virtual machine has no host keys in /etc/ssh");
    }

    /// <summary>Public keys, one a line, as lines of a known_hosts file (sshd(8)).</summary>
    internal static string KnownHosts(string keys, string host) => string.Concat(
        keys.Split('\n', StringSplitOptions.TrimEntries).Select(line => line.Split(' '))
            .Where(words => words.Length >= 2 && words[0].Contains('-', StringComparison.Ordinal) && words[1].StartsWith("AAAA", StringComparison.Ordinal))
            .Select(words => $"{host} {words[0]} {words[1]}\n"));

    static async Task<string> RunAsync(string profile, string[] arguments, CancellationToken cancellationToken)
    {
        var result = await ChildProcess.RunAsync("colima", arguments, cancellationToken);
        return result.ExitCode == 0
            ? result.Output
            : throw Failed(profile, result.Errors.Trim().Split('\n')[^1]);
    }

    static HsmRemoteException Failed(string profile, string why) => new(
        "ColimaFailed", FailureKind.Unavailable, $"colima does not tell how to reach the virtual machine of the profile '{profile}': {why}.",
        $"Start it: `colima start {profile}`. `colima list` shows the profiles.", profile);
}
