using System.Text.Json;

namespace HsmRemote.SystemTests;

/// <summary>Containers that use a token, each as people start them: with what New-P11ContainerConfig says and nothing else.</summary>
public sealed class ContainerGuideTests(SandboxFixture sandbox)
{
    readonly ContainerHost host = new(sandbox);

    [Fact]
    public void A_numeric_user_and_no_such_group_in_the_image()
    {
        var token = host.Serve("guide-user", 7401);
        var config = host.Config($"guide-user Podman -Image {ContainerHost.Image} -Uid 5000");
        Assert.Contains("--user 5000:5000 --group-add 7401 ", config, StringComparison.Ordinal);
        Assert.Equal("", host.Run(config, "getent group 7401 || true").Succeeded());
        Works(config, token);
        // The group is what makes it work.
        Assert.Equal("", host.Run(config.Replace(" --group-add 7401", "", StringComparison.Ordinal), ContainerHost.List).StdOut);
    }

    [Fact]
    public void Root()
    {
        var token = host.Serve("guide-as-root", 7402);
        var config = host.Config($"guide-as-root Podman -Image {ContainerHost.Image} -Uid 0");
        Assert.DoesNotContain("--group-add", config, StringComparison.Ordinal);
        Works(config, token);
        Works(host.Config($"guide-as-root Podman -Image {ContainerHost.Image}"), token);
    }

    [Fact]
    public void The_socket_s_group_as_the_primary_one()
    {
        var token = host.Serve("guide-primary", 7403);
        var config = host.Config($"guide-primary Podman -Image {ContainerHost.Image} -Uid 5000 -Gid 7403");
        Assert.Contains("--user 5000:7403 ", config, StringComparison.Ordinal);
        Assert.DoesNotContain("--group-add", config, StringComparison.Ordinal);
        Works(config, token);
    }

    [Fact]
    public void A_user_of_the_image_by_name()
    {
        var token = host.Serve("guide-name", 7404);
        var config = host.Config($"guide-name Podman -Image {ContainerHost.Image} -User www-data");
        Assert.Contains("--user www-data --group-add 7404 ", config, StringComparison.Ordinal);
        Assert.Equal("33", host.Run(config, "id -u").Succeeded());
        Works(config, token);
    }

    [Fact]
    public void The_mount_is_read_only_and_connecting_works()
    {
        host.Serve("guide-readonly", 7405);
        var config = host.Config($"guide-readonly Podman -Image {ContainerHost.Image} -Uid 0");
        Assert.Contains("Read-only file system", host.Run(config, "rm /run/guide-readonly/pkcs11 2>&1; touch /run/guide-readonly/x 2>&1; true").Succeeded(), StringComparison.Ordinal);
        Assert.Contains("token=guide-readonly", host.Run(config, ContainerHost.List).Succeeded(), StringComparison.Ordinal);
    }

    [Fact]
    public void The_server_restarts_is_retargeted_and_is_reinstalled_while_the_container_runs()
    {
        var token = host.Serve("guide-restart", 7406);
        var other = sandbox.CreateToken("guide-other");
        host.Start("guide-restart", host.Config($"guide-restart Podman -Image {ContainerHost.Image} -Uid 5000"));
        Assert.Contains("Verified OK", host.Exec("guide-restart", ContainerHost.Sign(token)).Succeeded(), StringComparison.Ordinal);

        sandbox.Run("systemctl", "restart", "guide-restart.socket").Succeeded();
        Assert.Contains("Verified OK", host.Exec("guide-restart", ContainerHost.Sign(token)).Succeeded(), StringComparison.Ordinal);

        sandbox.HsmRemote("Get-Pkcs11Token -Label guide-other | Set-P11TargetUri -Name guide-restart").SucceededWithOne();
        Assert.Contains("Verified OK", host.Exec("guide-restart", ContainerHost.Sign(other)).Succeeded(), StringComparison.Ordinal);
        Assert.DoesNotContain("token=guide-restart", host.Exec("guide-restart", ContainerHost.List).Succeeded(), StringComparison.Ordinal);

        // Another mode is another socket unit, which is stopped and started.
        Assert.True(sandbox.HsmRemote("Install-P11KitServer guide-restart -SocketMode 0666").SucceededWithOne().GetProperty("Changed").GetBoolean());
        Assert.Contains("Verified OK", host.Exec("guide-restart", ContainerHost.Sign(other)).Succeeded(), StringComparison.Ordinal);
        Assert.True(sandbox.HsmRemote("Test-P11Socket -Container guide-restart -Quiet").SucceededWithOne().GetBoolean());

        // The directory that the container has mounted outlives the instance.
        var uninstalled = sandbox.HsmRemote("Uninstall-P11KitServer guide-restart -Confirm:$false");
        uninstalled.SucceededWithOne();
        Assert.Contains("/run/guide-restart stays: the container guide-restart has it mounted", uninstalled.UnfoldedStdErr, StringComparison.Ordinal);
        Assert.Equal("", host.Exec("guide-restart", ContainerHost.List).StdOut);
        sandbox.HsmRemote($"Install-P11KitServer guide-restart -Group guide-restart -GroupId 7406 -TargetUri '{other.Uri}'").SucceededWithOne();
        Assert.Contains("Verified OK", host.Exec("guide-restart", ContainerHost.Sign(other)).Succeeded(), StringComparison.Ordinal);

        sandbox.Run("podman", "rm", "--force", "--time=0", "guide-restart").Succeeded();
        sandbox.HsmRemote("Uninstall-P11KitServer guide-restart -Confirm:$false").SucceededWithOne();
        Assert.NotEqual(0, sandbox.Run("ls", "-d", "/run/guide-restart").ExitCode);
    }

    [Fact]
    public void A_mount_of_the_socket_s_file_goes_stale_and_is_named()
    {
        host.ServeThroughFile("guide-file", 7407);
        Assert.Contains("token=guide-file", host.Exec("guide-file", ContainerHost.List).Succeeded(), StringComparison.Ordinal);
        var before = sandbox.HsmRemote("Get-P11ContainerConfig guide-file").SucceededWithOne();
        var difference = Assert.Single(before.GetProperty("Differences").EnumerateArray());
        Assert.Equal("Mount", difference.GetProperty("Setting").GetString());
        Assert.Equal("/run/guide-file:/run/guide-file:ro", difference.GetProperty("Needs").GetString());

        sandbox.Run("systemctl", "restart", "guide-file.socket").Succeeded();
        Assert.Equal("", host.Exec("guide-file", ContainerHost.List).StdOut);
        var test = sandbox.HsmRemote("Test-P11Socket -Container guide-file").SucceededWithOne();
        Assert.Equal("StaleBindMount", test.GetProperty("Cause").GetString());
        Assert.Contains("--volume /run/guide-file:/run/guide-file", test.GetProperty("Remedy").GetString(), StringComparison.Ordinal);
        sandbox.Run("podman", "rm", "--force", "--time=0", "guide-file").Succeeded();
    }

    [Fact]
    public void Two_servers_two_containers_and_neither_sees_the_other_s_token()
    {
        foreach (var (name, id) in new[] { ("guide-one", 7408), ("guide-two", 7409) })
            host.Serve(name, id);
        foreach (var (name, other) in new[] { ("guide-one", "guide-two"), ("guide-two", "guide-one") })
        {
            var config = host.Config($"{name} Podman -Image {ContainerHost.Image} -Uid 5000");
            var tokens = host.Run(config, ContainerHost.List).Succeeded();
            Assert.Contains($"token={name}", tokens, StringComparison.Ordinal);
            Assert.DoesNotContain($"token={other}", tokens, StringComparison.Ordinal);
            // Not by asking for the other socket either: its directory is not there.
            Assert.Equal("", host.Run(config, $"P11_KIT_SERVER_ADDRESS=unix:path=/run/{other}/pkcs11 {ContainerHost.List}").StdOut);
            Assert.NotEqual(0, host.Run(config, $"ls /run/{other}").ExitCode);
        }
    }

    [Fact]
    public void A_rootless_engine_of_a_member_of_the_group()
    {
        Assert.SkipWhen(sandbox.Shell("command -v newuidmap").ExitCode != 0, "newuidmap (Debian package uidmap) is not installed: rootless podman is NOT tested.");
        var token = host.Serve("guide-rootless", 7410);
        // A root directory of the user's own, since its storage would be another copy of the image.
        sandbox.Shell(
            "useradd --create-home --uid 7411 --groups guide-rootless rootless; install -d -o 7411 -g 7411 /run/user/7411 /run/rootless;"
            + $"tar --extract --file={ContainerHost.Archive} --directory=/run/rootless --exclude='./dev/*'; chown -R 7411:7411 /run/rootless").Succeeded();

        // By the user who runs podman: it knows that it is rootless by itself.
        var config = AsUser($"{SandboxFixture.ShellPath} -NoProfile -NonInteractive -Command 'New-P11ContainerConfig guide-rootless Podman -Uid 5000'").Succeeded();
        Assert.Contains("--user 5000:5000 --group-add keep-groups ", config, StringComparison.Ordinal);
        foreach (var user in new[] { config, config.Replace("--user 5000:5000", "--user 0:0", StringComparison.Ordinal) })
        {
            var signed = AsUser($"podman run --rm --network=none {user} --rootfs /run/rootless sh -c {ContainerHost.Quote(ContainerHost.Sign(token))}");
            Assert.Contains("Verified OK", signed.Succeeded(), StringComparison.Ordinal);
        }

        var without = AsUser($"podman run --rm --network=none {config.Replace("--group-add keep-groups", "--group-add 7410", StringComparison.Ordinal)} --rootfs /run/rootless {ContainerHost.List}");
        Assert.Equal("", without.StdOut);

        // And of a user who is no member.
        sandbox.Run("gpasswd", "--delete", "rootless", "guide-rootless").Succeeded();
        var error = AsUser($"{SandboxFixture.ShellPath} -NoProfile -NonInteractive -Command 'try {{ New-P11ContainerConfig guide-rootless Podman -ErrorAction Stop }} catch {{ $_.FullyQualifiedErrorId }}'");
        Assert.StartsWith("RootlessUserNotMember,", error.StdOut, StringComparison.Ordinal);
    }

    [Fact]
    public void A_rootless_engine_and_an_instance_of_the_user_s_own()
    {
        Assert.SkipWhen(sandbox.Shell("command -v newuidmap").ExitCode != 0, "newuidmap (Debian package uidmap) is not installed: rootless podman is NOT tested.");
        // The programs are the sandbox's.
        sandbox.Shell("""
            useradd --create-home --uid 7412 keeper; systemctl start user@7412.service
            mkdir -p /run/keep/{usr,proc,dev,sys,run,tmp,etc}; for d in bin lib lib64 sbin; do ln -s usr/$d /run/keep/$d; done; chmod 1777 /run/keep/tmp
            cp -r /etc/passwd /etc/group /etc/ssl /run/keep/etc; chown -R 7412:7412 /run/keep
            """).Succeeded();
        const int Keeper = 7412;
        var token = new SoftHsmToken("keep-own", "123456", "key");
        AsUser($"""
            mkdir -p ~/.config/softhsm2 ~/tokens; echo "directories.tokendir = $HOME/tokens" >~/.config/softhsm2/softhsm2.conf
            softhsm2-util --init-token --free --label {token.Label} --pin {token.Pin} --so-pin 87654321
            pkcs11-tool --module {SoftHsmToken.Module} --token-label {token.Label} --login --pin {token.Pin} --keypairgen --key-type EC:prime256v1 --label key --id 01
            {SandboxFixture.ShellPath} -NoProfile -NonInteractive -Command 'Install-P11KitServer keep-own -Scope User -TargetUri pkcs11:token=keep-own'
            """, Keeper).Succeeded();
        foreach (var (user, userNamespace) in new[] { ("-Uid 5000", "--userns keep-id:uid=5000,gid=5000 "), ("-Uid 0", "") })
        {
            var config = AsUser($"{SandboxFixture.ShellPath} -NoProfile -NonInteractive -Command 'New-P11ContainerConfig keep-own Podman {user}'", Keeper).Succeeded();
            Assert.Equal(userNamespace.Length > 0, config.Contains("--userns", StringComparison.Ordinal));
            Assert.Contains(userNamespace, config, StringComparison.Ordinal);
            var signed = AsUser($"podman run --rm --network=none --volume /usr:/usr:ro {config} --rootfs /run/keep sh -c {ContainerHost.Quote($"id -u; {ContainerHost.Sign(token)}")}", Keeper).Succeeded();
            Assert.StartsWith($"{user.Split(' ')[1]}\n", signed, StringComparison.Ordinal);
            Assert.Contains("Verified OK", signed, StringComparison.Ordinal);

            // Read back, it is as it needs to be.
            AsUser($"podman run --detach --name keep-own --network=none --volume /usr:/usr:ro {config} --rootfs /run/keep sleep 600", Keeper).Succeeded();
            Assert.Equal("none", AsUser($"{SandboxFixture.ShellPath} -NoProfile -NonInteractive -Command '(Get-P11ContainerConfig keep-own).Differences; \"none\"'", Keeper).Succeeded());
            AsUser("podman rm --force --time=0 keep-own", Keeper).Succeeded();
        }

        // Without it, user 5000 is nobody on the host.
        var nobody = AsUser($"podman run --rm --network=none --user 5000:5000 --volume /usr:/usr:ro --volume /run/user/7412/keep-own:/run/user/7412/keep-own --env P11_KIT_SERVER_ADDRESS=unix:path=/run/user/7412/keep-own/pkcs11 --rootfs /run/keep {ContainerHost.List}", Keeper);
        Assert.Equal("", nobody.StdOut);
        sandbox.Run("systemctl", "stop", "user@7412.service").Succeeded();
    }

    CommandResult AsUser(string command, int user = 7411)
    {
        sandbox.WriteFile($"/run/rootless-{user}.sh", $"export HOME=$(getent passwd {user} | cut -d: -f6) XDG_RUNTIME_DIR=/run/user/{user}\nmkdir -p $HOME/.config/containers\n"
            + $"printf '[storage]\\ndriver=\"vfs\"\\ngraphroot=\"/run/user/{user}/storage\"\\nrunroot=\"/run/user/{user}/run\"\\n' >$HOME/.config/containers/storage.conf\n"
            + $"cd /\n{command}\n");
        return sandbox.Run("setpriv", $"--reuid={user}", $"--regid={user}", "--init-groups", "bash", "-e", $"/run/rootless-{user}.sh");
    }

    void Works(string config, SoftHsmToken token)
    {
        Assert.Contains($"token={token.Label}", host.Run(config, ContainerHost.List).Succeeded(), StringComparison.Ordinal);
        Assert.Contains("Verified OK", host.Run(config, ContainerHost.Sign(token)).Succeeded(), StringComparison.Ordinal);
    }
}
