namespace HsmRemote.SystemTests;

/// <summary>Links that somebody else planted where HsmRemote writes are not followed; root's own are.</summary>
public sealed class PlantedLinkTests(SandboxFixture sandbox)
{
    const string Victim = "/opt/planted-victim";

    [Theory]
    // The file itself, in a directory that is somebody's.
    [InlineData("plant-a", "chown daemon /etc/plant-a; su_daemon ln -sf /opt/planted-victim /etc/plant-a/config.env")]
    // The file itself, in root's directory, left over from when that was somebody's.
    [InlineData("plant-b", "ln -sf /opt/planted-victim /etc/plant-b/config.env; chown -h daemon /etc/plant-b/config.env")]
    // The directory.
    [InlineData("plant-c", "mv /etc/plant-c /etc/plant-c-real; ln -s /etc/plant-c-real /etc/plant-c; chown -h daemon /etc/plant-c")]
    // A link of root's that leads to where others plant.
    [InlineData("plant-d", "mkdir /opt/plant-d; chmod 0777 /opt/plant-d; ln -sf /opt/planted-victim /opt/plant-d/config.env; ln -sf /opt/plant-d/config.env /etc/plant-d/config.env")]
    public void A_planted_link_is_refused_and_what_it_leads_to_is_untouched(string name, string plant)
    {
        sandbox.HsmRemote($"Install-P11KitServer {name}").SucceededWithOne();
        sandbox.Shell($$"""su_daemon() { setpriv --reuid=daemon --regid=daemon --clear-groups "$@"; }; [ -e {{Victim}} ] || echo victim >{{Victim}}; {{plant}}""").Succeeded();

        var result = sandbox.HsmRemote($"Set-P11TargetUri {name} pkcs11:token=x -Force");

        Assert.Equal(1, result.ExitCode);
        Assert.Contains("symbolic link", result.StdErr, StringComparison.Ordinal);
        Assert.Contains("nothing has changed", result.StdErr, StringComparison.Ordinal);
        Assert.Equal("victim", sandbox.Run("cat", Victim).Succeeded());
    }

    [Theory]
    [InlineData("-ServiceUser daemon")]
    [InlineData("")]
    public void A_daemon_that_was_taken_over_has_no_file_of_roots_opened_to_others(string user)
    {
        const string Socket = "/opt/planted-socket";
        sandbox.HsmRemote($"Install-P11KitServer plant-daemon -Mode Daemon -Group users -SocketMode 0666 {user}").SucceededWithOne();
        sandbox.LeaveSocket(Socket);
        sandbox.Run("chmod", "0600", Socket).Succeeded();
        // What the service may do in its directory: a link in the place of its socket.
        sandbox.WriteFile("/etc/systemd/system/plant-daemon.service.d/attack.conf", $"[Service]\nExecStart=\nExecStart=/bin/sh -c 'ln -s {Socket} /run/plant-daemon/pkcs11; exec sleep infinity'\n");
        sandbox.Shell("systemctl daemon-reload; systemctl restart plant-daemon.service || true").Succeeded();
        sandbox.WaitFor("test -L /run/plant-daemon/pkcs11");
        Assert.Equal("600 root root", sandbox.Run("stat", "-c", "%a %U %G", Socket).Succeeded());
        sandbox.HsmRemote("Uninstall-P11KitServer plant-daemon").SucceededWithOne();
        sandbox.Run("rm", "-rf", "/run/plant-daemon").Succeeded();
    }

    [Fact]
    public void A_link_of_roots_in_a_directory_of_roots_is_followed_and_stays()
    {
        sandbox.HsmRemote("Install-P11KitServer plant-own").SucceededWithOne();
        sandbox.Shell("mkdir /srv/plant-own; mv /etc/plant-own/config.env /srv/plant-own/; ln -s /srv/plant-own/config.env /etc/plant-own/config.env").Succeeded();
        sandbox.HsmRemote("Set-P11TargetUri plant-own pkcs11:token=x -Force").SucceededWithOne();
        Assert.Equal("symbolic link", sandbox.Run("stat", "-c", "%F", "/etc/plant-own/config.env").Succeeded());
        Assert.Contains("token=x", sandbox.Run("cat", "/srv/plant-own/config.env").Succeeded(), StringComparison.Ordinal);
    }

    [Fact]
    public void A_drop_in_directory_that_is_a_link_goes_and_what_is_behind_it_stays()
    {
        sandbox.HsmRemote("Install-P11KitServer plant-drop").SucceededWithOne();
        sandbox.WriteFile("/opt/plant-drop/precious.conf", "[Socket]\nBacklog=64\n");
        sandbox.Run("ln", "-s", "/opt/plant-drop", "/etc/systemd/system/plant-drop.socket.d").Succeeded();
        sandbox.HsmRemote("Uninstall-P11KitServer plant-drop").SucceededWithOne();
        sandbox.Run("test", "-f", "/opt/plant-drop/precious.conf").Succeeded();
        Assert.Equal("", sandbox.Look("find /etc -name '*plant-drop*'"));
    }

    [Theory]
    [InlineData("mkdir /etc/plant-dir; chown daemon /etc/plant-dir", "belongs to the user daemon")]
    [InlineData("mkdir /etc/plant-dir; chmod 0777 /etc/plant-dir", "others than its owner may write")]
    [InlineData("echo >/etc/plant-dir", "a regular file")]
    public void A_directory_that_others_could_put_files_into_is_refused_before_anything_is_changed(string plant, string why)
    {
        sandbox.Shell($"rm -rf /etc/plant-dir; {plant}").Succeeded();
        var result = sandbox.HsmRemote("Install-P11KitServer plant-dir");
        Assert.Equal(1, result.ExitCode);
        Assert.Contains(why, result.StdErr, StringComparison.Ordinal);
        Assert.Equal("", sandbox.Look("find /etc/plant-dir /etc/systemd/system /run -mindepth 1 -name '*plant-dir*'"));
    }

    [Fact]
    public void What_is_written_is_roots_and_nobody_elses_to_write_whatever_the_umask_and_the_old_mode()
    {
        sandbox.Run("bash", "-c", $"umask 0; exec {SandboxFixture.ShellPath} -NoProfile -Command 'Install-P11KitServer plant-mode -Group plant-mode-users'").Succeeded();
        sandbox.Run("chmod", "0666", "/etc/plant-mode/config.env").Succeeded();
        sandbox.HsmRemote("Set-P11TargetUri plant-mode pkcs11:token=x -Force").SucceededWithOne();
        var written = sandbox.Shell("stat -c '%a %u %g' /etc/plant-mode /etc/plant-mode/* /etc/systemd/system/plant-mode.socket /etc/systemd/system/plant-mode@.service | sort -u").Succeeded();
        Assert.Equal("644 0 0\n755 0 0", written);
    }
}
