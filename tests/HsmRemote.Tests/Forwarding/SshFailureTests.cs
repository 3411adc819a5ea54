using HsmRemote.Services.Forwarding;

namespace HsmRemote.Tests.Forwarding;

/// <summary>That what OpenSSH says becomes an error with a remedy. The texts are those of OpenSSH 9.2.</summary>
public sealed class SshFailureTests
{
    static readonly ForwardSettings Forward = new(new ForwardLayout("edge-far", P11KitServerScope.System, false), P11ForwardDirection.Push, "far", "/run/edge/pkcs11", "/tmp/pkcs11")
    {
        Port = 2222, UserName = "hsm",
    };

    [Fact]
    public void What_is_to_be_pasted_reaches_the_host_as_the_forward_does()
    {
        var forward = Forward with { KeyPath = "/root/my keys/a.key", SshConfig = "/root/50%" };
        Assert.Contains(
            "`ssh -o BatchMode=yes -F '/root/50%' -p 2222 -i '/root/my keys/a.key' hsm@far true`", SshFailure.Of("hsm@far: Permission denied (publickey).", forward).Remedy, StringComparison.Ordinal);
        Assert.Contains("`ssh -v -p 2222 hsm@far true`", SshFailure.Of("something new", Forward).Remedy, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("No ED25519 host key is known for [far]:2222 and you have requested strict checking.\r\nHost key verification failed.", "HostKeyUnknown", "No ED25519 host key is known")]
    [InlineData("@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\r\nHost key for [far]:2222 has changed and you have requested strict checking.\r\nHost key verification failed.", "HostKeyChanged", "has changed")]
    [InlineData("hsm@far: Permission denied (publickey).", "FarSideDeniesLogin", "Permission denied")]
    [InlineData("ssh: connect to host far port 2222: Connection refused", "FarSideUnreachable", "Connection refused")]
    [InlineData("ssh: Could not resolve hostname far: Temporary failure in name resolution", "FarSideUnreachable", "resolve")]
    [InlineData("Timeout, server far not responding.", "FarSideUnreachable", "not responding")]
    [InlineData("bind [127.0.0.1]:18080: Address already in use\r\nCould not request local forwarding.\r\nWarning: remote port forwarding failed for listen path /tmp/pkcs11", "ForwardingNotAllowed", "/tmp/pkcs11")]
    [InlineData("a banner\nof several lines\np11-forward: somebody else listens on /tmp/pkcs11", "StaleForward", "somebody else listens")]
    [InlineData("something new", "SshFailed", "something new")]
    [InlineData("", "SshFailed", "without a word")]
    public void What_ssh_says_has_a_name_and_a_remedy(string said, string errorId, string reason)
    {
        var error = SshFailure.Of(said, Forward);
        Assert.Equal(errorId, error.ErrorId);
        Assert.Contains(reason, error.Failure, StringComparison.Ordinal);
        Assert.StartsWith("hsm@far port 2222: ", error.Failure, StringComparison.Ordinal);
        Assert.NotEmpty(error.Remedy!);
        if (errorId is not "SshFailed")
            Assert.Equal(errorId, SshFailure.CauseOf(error).ToString());
    }
}
