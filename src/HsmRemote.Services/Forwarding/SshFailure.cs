namespace HsmRemote.Services.Forwarding;

/// <summary>What ssh or the far side complained of, sorted by what has to be done about it.</summary>
static class SshFailure
{
    /// <summary>The cause of the ladder that is called like the error.</summary>
    internal static P11SocketCause CauseOf(HsmRemoteException error) =>
        Enum.TryParse<P11SocketCause>(error.ErrorId, out var cause) ? cause : P11SocketCause.FarSideUnreachable;

    /// <param name="said">All that was written to standard error.</param>
    /// <param name="forward">The forward that it was run for.</param>
    internal static HsmRemoteException Of(string said, ForwardSettings forward)
    {
        var lines = said.Split('\n', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        var host = forward.HostName;
        if (Find("REMOTE HOST IDENTIFICATION HAS CHANGED") is not null)
        {
            return Make(
                "HostKeyChanged", FailureKind.PermissionDenied,
                Find("has changed and you have requested") ?? "its host key is not the one that is known",
                forward.ColimaProfile is null
                    ? $"If the machine was set up anew, compare the key with `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` there, and forget the old one: `{Find("ssh-keygen -f") ?? $"ssh-keygen -R {host}"}`. If it was not, somebody is in between."
                    : "If the virtual machine was made anew, make the forward anew: Remove-P11SocketForward, then New-P11SocketForward.", forward);
        }

        if (Find("host key is known for", "Host key verification failed", "No matching host key fingerprint") is { } unknown)
        {
            return Make(
                "HostKeyUnknown", FailureKind.PermissionDenied, unknown,
                $"Connect once by hand as the same user, and compare the fingerprint that ssh shows with `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` over there: `{forward.SshByHand()}`. Or put the key into known_hosts from a source that you trust.", forward);
        }

        if (Find("Permission denied (", "Too many authentication failures", "Load key", "UNPROTECTED PRIVATE KEY") is { } denied)
        {
            return Make(
                "FarSideDeniesLogin", FailureKind.PermissionDenied, denied,
                $"Let this command succeed, as the same user and without a question: `{forward.SshByHand("-o", "BatchMode=yes")} true`. A key with a passphrase needs an agent, which a service of the system does not have.", forward);
        }

        if (Find("remote port forwarding failed for listen path", "administratively prohibited") is { } forbidden)
        {
            return Make(
                "ForwardingNotAllowed", FailureKind.PermissionDenied, forbidden,
                "Allow it in the far side's sshd_config(5): AllowStreamLocalForwarding yes, and no DisableForwarding; and no 'restrict' or 'no-port-forwarding' for this key in authorized_keys.", forward);
        }

        if (Find("p11-forward: ") is { } refused)
        {
            return Make(
                "StaleForward", FailureKind.InvalidOperation, refused["p11-forward: ".Length..],
                $"See what is there, and who listens: `ss -xlp src {forward.MadePath}`. Or choose another path.", forward);
        }

        if (Find("Could not resolve", "Connection refused", "Connection timed out", "No route to host", "Network is unreachable", "Connection closed", "Connection reset",
                "banner exchange", "not responding", "Broken pipe", "Operation timed out", "port 65535", "closed by remote host") is { } unreachable)
        {
            return Make(
                "FarSideUnreachable", FailureKind.Unavailable, unreachable,
                $"See that the machine runs and sshd listens there: `{forward.SshByHand()} true`.", forward);
        }

        return Make(
            "SshFailed", FailureKind.Unavailable, lines.LastOrDefault() ?? "ssh ended without a word",
            $"See what ssh says: `{forward.SshByHand("-v")} true`.", forward);

        string? Find(params string[] parts) => Array.Find(lines, line => parts.Any(part => line.Contains(part, StringComparison.Ordinal)));
    }

    static HsmRemoteException Make(string errorId, FailureKind kind, string reason, string remedy, ForwardSettings forward) =>
        new(errorId, kind, $"{forward.Host}: {reason.TrimEnd('.')}.", remedy, forward.HostName);
}
