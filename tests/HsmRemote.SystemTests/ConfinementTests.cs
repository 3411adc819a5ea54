using System.Globalization;
using System.Text.Json;

namespace HsmRemote.SystemTests;

/// <summary>What a connection's service can reach and what it cannot: whatever its modules need, and no more.</summary>
/// <remarks>In a sandbox of its own: a card reader's daemon and a TPM would be seen by every other test.</remarks>
public sealed class ConfinementTests(OwnSandbox host) : IClassFixture<OwnSandbox>
{
    // The level of systemd-analyze security that no unit of ours is above.
    const double HighestExposure = 1.0;

    readonly SandboxFixture sandbox = host.Fixture;

    [Fact]
    public void Whoever_takes_over_a_service_reaches_nothing_that_matters()
    {
        sandbox.HsmRemote("Install-P11KitServer conf-inside").SucceededWithOne();
        // Each line says its number where the attempt succeeds. 125 is capget, 157 prctl: the bounding set, no_new_privs, seccomp.
        const string Attempts = """
            cat /etc/shadow && echo 01
            [ -n "$(find /run -type s ! -path '/run/pcscd/*')" ] && echo 02
            [ -n "$(ls -A /home /root)" ] && echo 03
            touch /etc/conf-x /usr/conf-x /var/conf-x && echo 04
            [ -e /dev/kmsg ] || [ -n "$(ls /dev | grep -E '^(vd|sd|nvme|loop|tpm)|^net$')" ] && echo 05
            [ -n "$(ls -A /sys)" ] && echo 06
            [ -n "$(ls -A /proc)" ] && echo 07
            grep -qa PATH /proc/1/environ && echo 08
            perl -e 'my ($v, $d) = (pack("L2", 0x20080522, 0), "\0" x 24); syscall(125, $v, $d); exit !grep $_, unpack("L6", $d), map syscall(157, 23, $_, 0, 0, 0) > 0, 0 .. 40' && echo 09
            perl -e 'exit syscall(157, 39, 0, 0, 0, 0)' && echo 10
            perl -e 'exit syscall(157, 21, 0, 0, 0, 0)' && echo 11
            mount -t tmpfs tmpfs /mnt && echo 12
            unshare --user true && echo 13
            systemd-run --wait --quiet touch /etc/conf-y && echo 14
            (echo >/dev/tcp/127.0.0.1/1) 2>&1 | grep -qE 'refused|unreachable' && echo 15
            ls -A /tmp | grep -q conf-tmp && echo 16
            ls -A /dev/shm | grep -q conf-shm && echo 17
            perl -e 'exit !defined msgget(0xc0de, 0)' && echo 18
            echo tried
            """;
        sandbox.WriteFile("/opt/conf-attempts", Attempts);
        sandbox.WriteFile("/etc/systemd/system/conf-inside@.service.d/attempt.conf", "[Service]\nExecStart=\nExecStart=/bin/bash -c 'exec 2>/dev/null; . /opt/conf-attempts'\n");
        sandbox.Shell("systemctl daemon-reload; touch /tmp/conf-tmp /root/conf-home /dev/shm/conf-shm; mkdir -p /mnt; perl -e 'msgget(0xc0de, 01666) // die $!'").Succeeded();

        // Root outside of it can do all of this, so that what is tried is what it says.
        var outside = sandbox.Shell("set +eo pipefail; exec 2>/dev/null; . /opt/conf-attempts").Succeeded().Split('\n');
        foreach (var number in new[] { "01", "02", "03", "04", "06", "07", "08", "09", "10", "11", "12", "13", "14", "15", "16", "17", "18" })
            Assert.Contains(number, outside);
        var inside = sandbox.Shell("socat -t120 - UNIX-CONNECT:/run/conf-inside/pkcs11").Succeeded();
        Assert.Equal("tried", inside);
    }

    [Fact]
    public void What_is_allowed_is_what_the_service_has_byte_for_byte()
    {
        sandbox.WriteFile("/opt/conf-allow.ps1", """
            Install-P11KitServer conf-allow -AllowPath '/srv/conf a%n"b\c', /home/conf/store, /run/conf-store, /dev/shm -AllowDevice /dev/net/tun -Environment @{ CONF_A = ' x="y" %n $HOME \ é;' }
            """);
        sandbox.Shell("mkdir -p '/srv/conf a%n\"b\\c' /home/conf/store /run/conf-store; touch /home/conf/other").Succeeded();
        sandbox.HsmRemote("/opt/conf-allow.ps1").SucceededWithOne();
        sandbox.WriteFile("/opt/conf-allowed", """
            printf '%s\n' "$CONF_A"; touch '/srv/conf a%n"b\c/x' /home/conf/store/x /run/conf-store/x /dev/shm/conf-allow && echo written
            ls -A /home/conf; [ -c /dev/net/tun ] && (: <>/dev/net/tun) && echo opened
            """);
        sandbox.WriteFile("/etc/systemd/system/conf-allow@.service.d/attempt.conf", "[Service]\nExecStart=\nExecStart=/bin/bash -c '. /opt/conf-allowed'\n");
        sandbox.Run("systemctl", "daemon-reload").Succeeded();
        Assert.Equal(" x=\"y\" %n $HOME \\ é;\nwritten\nstore\nopened\n", sandbox.Run("socat", "-t120", "-", "UNIX-CONNECT:/run/conf-allow/pkcs11").StdOut);
        sandbox.Run("test", "-e", "/dev/shm/conf-allow").Succeeded();
        AssertConfined("conf-allow");

        Assert.False(Changed("Install-P11KitServer conf-allow"));
        Assert.False(Changed("/opt/conf-allow.ps1"));
        Assert.True(Changed("Install-P11KitServer conf-allow -AllowPath @() -AllowDevice @() -Environment @{}"));
        var unit = sandbox.Run("cat", "/etc/systemd/system/conf-allow@.service").Succeeded();
        Assert.DoesNotContain("conf a", unit, StringComparison.Ordinal);
        Assert.DoesNotContain("CONF_A", unit, StringComparison.Ordinal);
        Assert.DoesNotContain("/dev/net", unit, StringComparison.Ordinal);
    }

    [Fact]
    public void A_SoftHSM_store_of_its_own_works_and_under_an_account_of_its_own_too()
    {
        const string Install = "Install-P11KitServer conf-soft -TargetUri pkcs11:token=conf-soft -Environment @{ SOFTHSM2_CONF = '/srv/conf-soft/softhsm2.conf' }";
        sandbox.WriteFile("/srv/conf-soft/softhsm2.conf", "directories.tokendir = /srv/conf-soft/tokens\n");
        sandbox.Shell("""
            mkdir -m 700 /srv/conf-soft/tokens; useradd --system conf-p11; (umask 077; echo 123456 >/root/conf-pin)
            export SOFTHSM2_CONF=/srv/conf-soft/softhsm2.conf
            softhsm2-util --init-token --free --label conf-soft --pin 123456 --so-pin 87654321
            pkcs11-tool --module /usr/lib/softhsm/libsofthsm2.so --token-label conf-soft --login --pin 123456 --keypairgen --key-type EC:prime256v1 --label key --id 01
            """).Succeeded();
        // The session's variable is not the service's, and says so.
        var forgotten = sandbox.Shell($"SOFTHSM2_CONF=/srv/conf-soft/softhsm2.conf {SandboxFixture.ShellPath} -NoProfile -Command 'Install-P11KitServer conf-soft -WhatIf'");
        Assert.Contains("which the service will not have", forgotten.StdErr, StringComparison.Ordinal);

        sandbox.HsmRemote(Install).SucceededWithOne();
        Sign("conf-soft");
        AssertConfined("conf-soft");

        // The store is root's alone: refused before anything is changed.
        var denied = sandbox.HsmRemote($"{Install} -ServiceUser conf-p11");
        Assert.Equal(1, denied.ExitCode);
        Assert.Contains("/srv/conf-soft/tokens", denied.StdErr, StringComparison.Ordinal);
        Assert.DoesNotContain("User=", sandbox.Run("grep", "-v", "^Unset", "/etc/systemd/system/conf-soft@.service").Succeeded(), StringComparison.Ordinal);

        sandbox.Run("chown", "-R", "conf-p11", "/srv/conf-soft/tokens").Succeeded();
        sandbox.HsmRemote($"{Install} -ServiceUser conf-p11").SucceededWithOne();
        Sign("conf-soft");
        AssertConfined("conf-soft");
        sandbox.Connect("conf-soft");
        sandbox.WaitFor("ps -o user= -C p11-kit-remote,remote | grep -qx conf-p11");
        Assert.False(Changed("Install-P11KitServer conf-soft"));
        Assert.True(Changed("Install-P11KitServer conf-soft -ServiceUser root"));
    }

    [Fact]
    public void OpenSC_reaches_pcscd()
    {
        // No reader is there: what listens in its place writes down what OpenSC says to it, and hangs up.
        sandbox.Shell("""
            mkdir -p /run/pcscd
            socat UNIX-LISTEN:/run/pcscd/pcscd.comm,fork,mode=666 SYSTEM:'head -c 12 >>/run/conf-pcscd; exec >&-' </dev/null >/dev/null 2>&1 &
            until [ -e /run/pcscd/pcscd.comm ]; do sleep 0.1; done
            """).Succeeded();
        sandbox.HsmRemote("Install-P11KitServer conf-card -TargetUri pkcs11:token=conf-card").SucceededWithOne();
        Assert.Equal("NoSlots", sandbox.HsmRemote("Test-P11Socket conf-card").SucceededWithOne().GetProperty("Cause").GetString());
        Assert.NotEqual("0", sandbox.Run("stat", "-c", "%s", "/run/conf-pcscd").Succeeded());
        AssertConfined("conf-card");
    }

    [Fact]
    public void A_TPM_signs()
    {
        // tpm2-pkcs11 comes after SoftHSM, and p11-kit 0.24 stops looking at SoftHSM's slot that has no token yet: it goes first.
        sandbox.WriteFile("/etc/pkcs11/modules/tpm2_pkcs11.module", "module: libtpm2_pkcs11.so\npriority: 5\n");
        sandbox.Shell("""
            mkdir -p /run/conf-tpm /var/lib/conf-tpm /srv/conf-tpm; (umask 077; echo 123456 >/root/tpm-pin)
            swtpm socket --tpm2 --tpmstate dir=/var/lib/conf-tpm --server type=unixio,path=/run/conf-tpm/socket \
                --ctrl type=unixio,path=/run/conf-tpm/socket.ctrl --flags not-need-init,startup-clear --daemon
            export TPM2_PKCS11_STORE=/srv/conf-tpm TPM2_PKCS11_TCTI=swtpm:path=/run/conf-tpm/socket
            tool() { pkcs11-tool --module libtpm2_pkcs11.so.1 "$@"; }
            tool --slot-index 0 --init-token --label conf-tpm --so-pin 87654321
            tool --token-label conf-tpm --init-pin --login --login-type so --so-pin 87654321 --pin 123456
            tool --token-label conf-tpm --login --pin 123456 --keypairgen --key-type EC:prime256v1 --label key --id 01
            """).Succeeded();
        sandbox.HsmRemote("""
            Install-P11KitServer conf-tpm -TargetUri pkcs11:token=conf-tpm -Environment @{ TPM2_PKCS11_STORE = '/srv/conf-tpm'; TPM2_PKCS11_TCTI = 'swtpm:path=/run/conf-tpm/socket' }
            """).SucceededWithOne();
        var test = Sign("conf-tpm", "/root/tpm-pin");
        Assert.Equal("conf-tpm", test.GetProperty("Tokens")[0].GetProperty("Label").GetString());
        AssertConfined("conf-tpm");

        // One on the device: the unit has it, and no more is exposed for that. There is none here.
        sandbox.HsmRemote("Install-P11KitServer conf-tpm -Environment @{}").SucceededWithOne();
        Assert.Contains("DeviceAllow=/dev/tpmrm0 rw\n", sandbox.Run("cat", "/etc/systemd/system/conf-tpm@.service").StdOut, StringComparison.Ordinal);
        AssertConfined("conf-tpm");
        sandbox.Run("rm", "/etc/pkcs11/modules/tpm2_pkcs11.module").Succeeded();
    }

    JsonElement Sign(string instance, string pinPath = "/root/conf-pin")
    {
        var test = sandbox.HsmRemote($"Test-P11Socket {instance} -PinPath {pinPath}").SucceededWithOne();
        Assert.True(test.GetProperty("Succeeded").GetBoolean(), test.ToString());
        return test;
    }

    bool Changed(string command) => sandbox.HsmRemote(command).SucceededWithOne().GetProperty("Changed").GetBoolean();

    [Theory]
    [InlineData("Acceptor")]
    [InlineData("Daemon")]
    public void The_other_modes_are_confined_as_well(string mode)
    {
        var name = $"conf-{mode.ToLowerInvariant()}";
        sandbox.HsmRemote($"Install-P11KitServer {name} -Mode {mode}").SucceededWithOne();
        AssertConfined(name, $"{name}.service");
    }

    void AssertConfined(string instance, string? unit = null)
    {
        var exposure = sandbox.Shell($"systemd-analyze security --no-pager {unit ?? $"{instance}@1.service"} | tail -n 1").Succeeded();
        Assert.True(double.Parse(exposure.Split(": ")[1].Split(' ')[0], CultureInfo.InvariantCulture) <= HighestExposure, exposure);
    }
}
