namespace HsmRemote.SystemTests;

/// <summary>What is there again when a host has restarted, without anybody's help.</summary>
public sealed class RebootTests(OwnSandbox own, TwoHosts hosts) : IClassFixture<OwnSandbox>, IClassFixture<TwoHosts>
{
    [Fact]
    public void An_instance_of_every_mode_listens_again_with_its_target_and_a_user_s_own_too()
    {
        var sandbox = own.Fixture;
        var token = sandbox.CreateToken("reboot");
        sandbox.Shell("useradd --create-home --uid 4200 reboot-user; systemctl start user@4200.service; (umask 077; echo 123456 >/root/pin)").Succeeded();
        foreach (var mode in new[] { "PerConnection", "Acceptor", "Daemon" })
            sandbox.HsmRemote($"Install-P11KitServer reboot-{mode.ToLowerInvariant()} -Mode {mode} -Group reboot -TargetUri '{token.Uri}'").SucceededWithOne();
        sandbox.HsmRemote("Install-P11KitServer reboot-stopped -Group reboot | Out-Null; Stop-P11KitServer reboot-stopped").SucceededWithOne();
        sandbox.Run("setpriv", "--reuid=4200", "--regid=4200", "--init-groups", "env", "HOME=/home/reboot-user", SandboxFixture.ShellPath, "-NoProfile", "-Command", "Install-P11KitServer reboot-own -Scope User").Succeeded();
        // As its warning has it.
        sandbox.Shell("systemctl start systemd-logind; loginctl enable-linger reboot-user").Succeeded();

        sandbox.Reboot();
        Assert.Equal("", sandbox.Shell("ls -d /run/reboot-daemon 2>/dev/null || true").Succeeded());
        // Where a machine boots to.
        sandbox.Run("systemctl", "start", "multi-user.target").Succeeded();
        foreach (var mode in new[] { "PerConnection", "Acceptor", "Daemon" })
        {
            var test = sandbox.HsmRemote($"Test-P11Socket reboot-{mode.ToLowerInvariant()} -PinPath /root/pin").SucceededWithOne();
            Assert.True(test.GetProperty("Succeeded").GetBoolean(), test.ToString());
            Assert.Equal("reboot", test.GetProperty("Tokens")[0].GetProperty("Label").GetString());
            Assert.False(sandbox.HsmRemote($"Install-P11KitServer reboot-{mode.ToLowerInvariant()}").SucceededWithOne().GetProperty("Changed").GetBoolean());
        }

        // One that was stopped is enabled all the same, as systemctl stop leaves it.
        Assert.Equal("Listening", sandbox.HsmRemote("Get-P11KitServer reboot-stopped").SucceededWithOne().GetProperty("State").GetString());
        sandbox.WaitFor("test -S /run/user/4200/reboot-own/pkcs11");
    }

    [Fact]
    public void A_forward_that_persists_comes_back_when_either_end_restarts()
    {
        const string Socket = "/run/reboot.p11";
        hosts.HsmRemote($"New-P11SocketForward edge {TwoHosts.FarAddress} -RemotePath {Socket} -Persist -ForwardName reboot").SucceededWithOne();
        hosts.UntilTokenIsSeen(TwoHosts.List(Socket));

        hosts.Far.Reboot();
        Assert.NotEqual(0, hosts.Far.Run("test", "-e", Socket).ExitCode);
        hosts.Join();
        hosts.StartSshd();
        hosts.UntilTokenIsSeen(TwoHosts.List(Socket));

        // sshd over there does not know yet that the other end is gone, and holds the old socket.
        hosts.Near.Reboot();
        hosts.Join();
        hosts.Near.Run("systemctl", "start", "multi-user.target").Succeeded();
        hosts.UntilTokenIsSeen(TwoHosts.List(Socket));
        var test = hosts.HsmRemote("Test-P11SocketForward reboot").SucceededWithOne();
        Assert.True(test.GetProperty("Succeeded").GetBoolean(), test.ToString());
    }
}
