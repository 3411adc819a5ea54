namespace HsmRemote.SystemTests;

/// <summary>Errors that take a host in a certain state: each has its identifier, says why and what to do, and nothing has been changed.</summary>
public sealed class ErrorTests(OwnSandbox own) : IClassFixture<OwnSandbox>
{
    readonly SandboxFixture sandbox = own.Fixture;

    [Theory]
    [InlineData("AccountInvalid", "New-P11SocketForward err-server -HostName far -User 'a b'")]
    [InlineData("ForwardNameInvalid", "New-P11SocketForward err-server -HostName far -ForwardName 'a b'")]
    [InlineData("ModuleNameInvalid", "Install-P11KitServer err-new -Module 'a b'")]
    [InlineData("PackageMissing", "Install-P11KitServer err-new -Module err-no-such-package")]
    [InlineData("NoTokenPiped", "@() | Set-P11TargetUri err-server")]
    [InlineData("SocketPathInvalid", "Start-P11KitServer -Foreground -TargetUri pkcs11:token=err -SocketPath /err/none/pkcs11")]
    [InlineData("ForegroundServerEnded", "Start-P11KitServer -Foreground -TargetUri pkcs11:token=err -SocketPath /proc/pkcs11")]
    public void A_command_that_cannot_be_meant(string errorId, string command) => IsRefused(errorId, "", command);

    [Theory]
    [InlineData("ConfigAmbiguous", """printf '# a comment \\\nX=1\n' >>/etc/err-server/config.env""", "Set-P11TargetUri err-server pkcs11:token=err -Force")]
    [InlineData("ConfigDirectoryUnsafe", "mkdir -m 0777 /etc/err-new", "Install-P11KitServer err-new")]
    [InlineData("LockFailed", "mkdir /run/.hsmremote-err-new.lock", "Install-P11KitServer err-new")]
    [InlineData("UnitMasked", "ln -s /dev/null /etc/systemd/system/err-new.socket; systemctl daemon-reload", "Install-P11KitServer err-new")]
    [InlineData("PackageManagerUnknown", "mount --bind /dev/null /etc/os-release", "Install-P11KitServer err-new -Module softhsm2")]
    [InlineData("ProgramMissing", "mount --bind /dev/null $(readlink -f /usr/bin/systemd-analyze)", "Install-P11KitServer err-new")]
    [InlineData("ServiceUserDenied", "chmod 0700 /var/lib/softhsm", "Install-P11KitServer err-new -ServiceUser daemon")]
    [InlineData("ModuleFileMalformed", "mkdir -p /etc/pkcs11/modules; echo nonsense >/etc/pkcs11/modules/err.module", "Get-Pkcs11Module")]
    [InlineData("SocketUnknown", "write_unit 'p11-kit server --foreground pkcs11:token=err'", "Get-P11KitServer err-unit | New-P11ContainerConfig -Engine Docker")]
    [InlineData("SocketAccessUnknown", "write_unit 'p11-kit server --foreground -n /run/err-unit/pkcs11 pkcs11:token=err'", "Get-P11KitServer err-unit | New-P11ContainerConfig -Engine Docker")]
    [InlineData("ServerAmbiguous", "write_unit 'p11-kit server --foreground -n /run/err-unit/pkcs11 pkcs11:token=err'; mkdir -p /root/.config/systemd/user; cp /etc/systemd/system/err-unit.service /root/.config/systemd/user; systemctl start user@0.service", "Restart-P11KitServer err-unit")]
    [InlineData("SocketPathTooLong", "touch /run/err-$(printf %0120d)", "Start-P11KitServer -Foreground -TargetUri pkcs11:token=err -SocketPath \"/run/err-$('0' * 120)\"")]
    public void A_host_that_does_not_allow_it(string errorId, string setUp, string command) => IsRefused(errorId, setUp, command);

    [Theory]
    [InlineData("ProcessNotReadable", "true", "Test-P11Socket -ProcessId 1")]
    [InlineData("FileInaccessible", "mkdir -p /etc/containers/containers.conf.d; chmod 0711 /etc/containers/containers.conf.d", "Get-P11KitServer err-server | New-P11ContainerConfig -Engine Podman")]
    [InlineData("ContainerFileUnreadable", "echo 'services: {}' >/tmp/err.yaml; chmod 0600 /tmp/err.yaml", "Get-P11KitServer err-server | New-P11ContainerConfig -Engine Compose -Path /tmp/err.yaml")]
    public void A_user_who_may_not(string errorId, string setUp, string command) => IsRefused(errorId, setUp, command, "daemon");

    void IsRefused(string errorId, string setUp, string command, string user = "root")
    {
        sandbox.HsmRemote("Install-P11KitServer err-server -Mode Daemon").SucceededWithOne();
        try
        {
            sandbox.Shell($$"""
                write_unit() { printf '[Service]\nExecStart=/usr/bin/%s\n' "$1" >/etc/systemd/system/err-unit.service; systemctl daemon-reload; }
                {{setUp}}
                """).Succeeded();
            var before = HostState.Of(sandbox);
            var script = $$"""
                try { {{command}} -ErrorAction Stop } catch {
                    ($_.FullyQualifiedErrorId -split ',')[0], $_.CategoryInfo.Category, "$($_.ErrorDetails.RecommendedAction)", "$_".ReplaceLineEndings(' ')
                }
                """;
            var said = sandbox.Run("setpriv", $"--reuid={user}", $"--regid={user}", "--init-groups", "env", "HOME=/tmp", SandboxFixture.ShellPath, "-NoProfile", "-NonInteractive", "-Command", script)
                .Succeeded().Split('\n');
            Assert.True(said.Length == 4, string.Join('\n', said));
            Assert.Equal(errorId, said[0]);
            Assert.NotEqual("NotSpecified", said[1]);
            Assert.NotEqual("", said[2]);
            Assert.EndsWith(".", said[3], StringComparison.Ordinal);
            HostState.IsAsBefore(before, sandbox);
        }
        finally
        {
            sandbox.Shell("""
                for program in /etc/os-release /usr/bin/systemd-analyze; do ! mountpoint -q $program || umount $program; done
                chmod 2770 /var/lib/softhsm; [ ! -e /etc/containers/containers.conf.d ] || chmod 0755 /etc/containers/containers.conf.d
                rm -rf /etc/err-new /run/err-0* /run/.hsmremote-err-new.lock /etc/systemd/system/err-new.socket /etc/systemd/system/err-unit.service \
                    /root/.config/systemd/user/err-unit.service /etc/pkcs11/modules/err.module /tmp/err.yaml
                systemctl daemon-reload
                """).Succeeded();
            sandbox.HsmRemote("Uninstall-P11KitServer err-server").SucceededWithOne();
        }
    }
}
