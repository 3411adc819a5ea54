using HsmRemote.Services.Native;

namespace HsmRemote.Services.Forwarding;

/// <summary>What is where the socket is to be made.</summary>
/// <param name="Values">What end.sh says, by key.</param>
sealed record EndView(IReadOnlyDictionary<string, string> Values)
{
    internal string UserName => Values.GetValueOrDefault("User", "?");

    /// <summary>missing, ready, closed, open, file or unreachable.</summary>
    internal string Directory => Values.GetValueOrDefault("Directory", "?");

    /// <summary>free, live, stale, unknown, or what else it is.</summary>
    internal string Path => Values.GetValueOrDefault("Path", "?");

    /// <summary>Whether a session of this very forward is there.</summary>
    internal bool HasSession => Values.ContainsKey("Session");

    internal static EndView Parse(string text) => new(
        text.Split('\n').Select(line => line.Split('=', 2)).Where(pair => pair.Length == 2).DistinctBy(pair => pair[0], StringComparer.Ordinal)
            .ToDictionary(pair => pair[0], pair => pair[1], StringComparer.Ordinal));
}

/// <summary>The other machine, as its forward reaches it: with OpenSSH's own client and the options of the tunnel.</summary>
sealed class FarSide(ForwardSettings forward)
{
    /// <summary>What a service of the system does not have, so that it does not help here either.</summary>
    const string Agent = "SSH_AUTH_SOCK";

    // Also without those of ssh's configuration, which the tunnel may have.
    static readonly string[] WithoutForwards = ["-o", "ClearAllForwardings=yes"];

    // Beyond what ssh gives up after by itself.
    static readonly TimeSpan Limit = TimeSpan.FromSeconds(40);

    string? WithoutAgent => forward.Layout.Scope == P11KitServerScope.System ? Agent : null;

    /// <summary>Looks at the end where the socket is to be made, and changes nothing.</summary>
    /// <exception cref="HsmRemoteException">The far side cannot be asked.</exception>
    internal async Task<EndView> LookAsync(CancellationToken cancellationToken) =>
        EndView.Parse(forward.Direction == P11ForwardDirection.Push ? await RunAsync(WithoutForwards, EndCommand("look"), cancellationToken) : await LookHereAsync(cancellationToken));

    /// <summary>Has sshd make a socket where the one that is wanted will be, and removes it: only doing it shows that it is allowed.</summary>
    /// <param name="isDirectoryThere">Whether its directory is; else the one above is taken.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <exception cref="HsmRemoteException">sshd does not.</exception>
    internal async Task TryForwardAsync(bool isDirectoryThere, CancellationToken cancellationToken)
    {
        var directory = Path.GetDirectoryName(forward.MadePath)!;
        var path = Path.Combine(isDirectoryThere ? directory : Path.GetDirectoryName(directory)!, $".p11-{forward.Id[..8]}");
        // Of a trial that was cut short: nobody else has a socket of that name.
        var made = $"rm -f {path}";
        await RunAsync(WithoutForwards, $"test ! -S {path} || {made}", cancellationToken);
        await RunAsync(["-R", $"{path}:{forward.ServedPath}"], $"test -S {path} && {made}", cancellationToken);
    }

    /// <summary>Removes what a forward left on the far side.</summary>
    /// <exception cref="HsmRemoteException">The far side cannot be asked.</exception>
    internal Task LeaveAsync(CancellationToken cancellationToken) => RunAsync(WithoutForwards, EndCommand(forward.MakesDirectory ? "vacate" : "leave"), cancellationToken);

    /// <summary>Runs a command of its shell there.</summary>
    async Task<string> RunAsync(IReadOnlyList<string> options, string command, CancellationToken cancellationToken)
    {
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        deadline.CancelAfter(Limit);
        try
        {
            var result = await ChildProcess.RunAsync(
                "ssh", [.. forward.SshOptions, .. options, "--", forward.HostName, command], deadline.Token, ForwardUnit.Script("end.sh"), WithoutAgent);
            return result.ExitCode == 0 ? result.Output : throw SshFailure.Of(result.Errors, forward);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw new HsmRemoteException(
                "FarSideSilent", FailureKind.Timeout, $"{forward.Host} let the caller in and did not answer in {Limit.TotalSeconds:F0} seconds.",
                $"See what its login shell does, without a terminal: `{forward.SshByHand()} true`.", forward.HostName);
        }
    }

    async Task<string> LookHereAsync(CancellationToken cancellationToken) =>
        (await ChildProcess.RunAsync("/bin/sh", ["-s", "--", .. EndArguments("look")], cancellationToken, ForwardUnit.Script("end.sh"))).Output;

    // Nothing in them that a shell would read as something else: ForwardRules sees to it.
    string EndCommand(string verb) => $"exec /bin/sh -s -- {string.Join(' ', EndArguments(verb))}";

    string[] EndArguments(string verb) => [verb, forward.MadePath, forward.Owner ?? "-", forward.Group ?? "-", forward.SocketMode, forward.Id];
}
