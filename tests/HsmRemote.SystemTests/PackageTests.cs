namespace HsmRemote.SystemTests;

/// <summary>-Module and -InstallPackage with a real apt, from a repository of files.</summary>
public sealed class PackageTests(SandboxFixture sandbox)
{
    [Fact]
    public void A_missing_package_is_named_with_the_command_and_installed_on_request()
    {
        const string Package = "hsmremote-test-module";
        const string Command = $"apt-get install --yes --no-install-recommends {Package}";
        sandbox.Shell($"""
            mkdir -p /opt/repository/{Package}/DEBIAN
            printf 'Package: {Package}\nVersion: 1\nArchitecture: all\nMaintainer: root <root@localhost>\nDescription: test\n' >/opt/repository/{Package}/DEBIAN/control
            cd /opt/repository
            dpkg-deb --build {Package} {Package}.deb >/dev/null
            printf 'Package: {Package}\nVersion: 1\nArchitecture: all\nMaintainer: root <root@localhost>\nDescription: test\nFilename: ./{Package}.deb\nSize: %s\nSHA256: %s\n' \
                $(stat -c %s {Package}.deb) $(sha256sum {Package}.deb | cut -d' ' -f1) >Packages
            rm -rf /etc/apt/sources.list /etc/apt/sources.list.d
            echo 'deb [trusted=yes] file:/opt/repository ./' >/etc/apt/sources.list
            apt-get update >/dev/null 2>&1
            """).Succeeded();

        var refused = sandbox.HsmRemote($"Install-P11KitServer packaged -Module {Package}");
        Assert.Equal(1, refused.ExitCode);
        Assert.Contains(Command, refused.StdErr, StringComparison.Ordinal);
        Assert.NotEqual(0, sandbox.Run("test", "-e", "/etc/packaged").ExitCode);

        var shown = sandbox.HsmRemote($"Install-P11KitServer packaged -Module {Package} -InstallPackage -WhatIf").SucceededWithOne();
        Assert.Contains(Command, shown.GetProperty("Changes")[0].GetProperty("Description").GetString(), StringComparison.Ordinal);
        Assert.NotEqual(0, sandbox.Run("dpkg-query", "--status", Package).ExitCode);

        // A later step that fails leaves the package, and says so.
        sandbox.WriteFile("/run/packaged-blocked", "a file");
        var failed = sandbox.HsmRemote($"Install-P11KitServer packaged -Module {Package} -InstallPackage -SocketPath /run/packaged-blocked/x/p11");
        Assert.Equal(1, failed.ExitCode);
        Assert.Contains($"were undone, except: install the packages {Package}", failed.StdErr, StringComparison.Ordinal);
        sandbox.Run("dpkg-query", "--status", Package).Succeeded();

        var made = sandbox.HsmRemote($"Install-P11KitServer packaged -Module {Package} -InstallPackage").SucceededWithOne();
        Assert.Equal("CreateFile", made.GetProperty("Changes")[0].GetProperty("Kind").GetString());
    }

    [Fact]
    public void Without_systemd_nothing_is_written()
    {
        foreach (var command in new[] { "Install-P11KitServer unbooted", "Uninstall-P11KitServer unbooted", "Set-P11TargetUri unbooted pkcs11:token=x", "Get-P11KitServer" })
        {
            var result = sandbox.Shell($"unshare --mount bash -c \"mount -t tmpfs tmpfs /run; ! {SandboxFixture.ShellPath} -NoProfile -Command '{command}' 2>&1; ls -A /run; ls -d /etc/unbooted 2>/dev/null || true\"");
            Assert.Contains("was not booted with systemd", result.Succeeded(), StringComparison.Ordinal);
            Assert.EndsWith("is-system-running'.", result.Succeeded(), StringComparison.Ordinal);
        }
    }
}
