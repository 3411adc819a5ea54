namespace HsmRemote.SystemTests;

/// <summary>The same containers in docker, with its own daemon. podman's tests say more of what both do alike.</summary>
/// <remarks>In a sandbox of its own: where docker answers, it is asked before podman for what a compose file needs.</remarks>
public sealed class DockerTests(OwnSandbox own) : IClassFixture<OwnSandbox>
{
    readonly SandboxFixture sandbox = own.Fixture;
    readonly ContainerHost host = new(own.Fixture, "docker");

    [Theory]
    [InlineData("docker-user", 7601, "-Uid 5000", "--user 5000:5000 --group-add 7601 ")]
    [InlineData("docker-as-root", 7602, "-Uid 0", "--user 0:0 --mount ")]
    [InlineData("docker-primary", 7603, "-Uid 5000 -Gid 7603", "--user 5000:7603 --mount ")]
    [InlineData("docker-name", 7604, "-User www-data", "--user www-data --group-add 7604 ")]
    public void A_container_signs_as_whoever_it_runs(string name, int groupId, string options, string arguments)
    {
        var token = host.Serve(name, groupId);
        var config = host.Config($"{name} Docker -Image {ContainerHost.Image} {options}");
        Assert.StartsWith(arguments, config, StringComparison.Ordinal);
        Assert.Contains($"token={token.Label}", host.Run(config, ContainerHost.List).Succeeded(), StringComparison.Ordinal);
        Assert.Contains("Verified OK", host.Run(config, ContainerHost.Sign(token)).Succeeded(), StringComparison.Ordinal);
        if (config.Contains("--group-add", StringComparison.Ordinal))
            Assert.Equal("", host.Run(config.Replace($" --group-add {groupId}", "", StringComparison.Ordinal), ContainerHost.List).StdOut);
    }

    [Fact]
    public void It_is_read_back_tested_and_named()
    {
        host.Serve("docker-read", 7605);
        host.Start("docker-good", host.Config($"docker-read Docker -Image {ContainerHost.Image} -Uid 5000"));
        var good = sandbox.HsmRemote("Get-P11ContainerConfig docker-good").SucceededWithOne();
        Assert.Equal("Docker", good.GetProperty("Engine").GetString());
        Assert.Equal(0, good.GetProperty("Differences").GetArrayLength());
        Assert.True(sandbox.HsmRemote("Test-P11Socket -Container docker-good -Quiet").SucceededWithOne().GetBoolean());

        host.Start("docker-bad", $"--user 5000:5000 --volume /run:/run:ro {ContainerHost.Image}");
        var bad = sandbox.HsmRemote("Get-P11ContainerConfig docker-bad -Name docker-read").SucceededWithOne();
        Assert.Equal(["Mount", "Environment", "Group"], bad.GetProperty("Differences").EnumerateArray().Select(d => d.GetProperty("Setting").GetString()));
        var test = sandbox.HsmRemote("Test-P11Socket -Container docker-bad -Name docker-read").SucceededWithOne();
        Assert.Equal("NotWritable", test.GetProperty("Cause").GetString());
        Assert.Contains("--group-add 7605", test.GetProperty("Remedy").GetString(), StringComparison.Ordinal);

        // Who is connected, by the name that docker has for it.
        sandbox.Shell("""docker exec --detach docker-good perl -MSocket -e 'socket(S, AF_UNIX, SOCK_STREAM, 0); connect(S, sockaddr_un("/run/docker-read/pkcs11")); sleep 60'""").Succeeded();
        // Where docker takes long to answer, its name comes later.
        var connection = sandbox.HsmRemote("foreach ($i in 1..100) { $c = @(Get-P11KitConnection docker-read); if ($c.ContainerName) { break }; [Threading.Thread]::Sleep(100) }; $c").SucceededWithOne();
        Assert.Equal(("docker", "docker-good", 5000), (connection.GetProperty("ContainerEngine").GetString(), connection.GetProperty("ContainerName").GetString(), connection.GetProperty("UserId").GetInt32()));
        Assert.Equal(
            ["docker-bad", "docker-good"],
            sandbox.HsmRemote("""
                # What takes longer than a person waits for is there at a later TAB.
                foreach ($i in 1..100) {
                    $names = [Management.Automation.CommandCompletion]::CompleteInput('Test-P11Socket -Container docker-', 33, $null).CompletionMatches.CompletionText
                    if ($names) { break }
                    [Threading.Thread]::Sleep(100)
                }
                $names
                """).Succeeded().Select(name => name.GetString()));
        sandbox.Shell("docker rm --force docker-good docker-bad").Succeeded();
    }

    [Fact]
    public void The_server_restarts_is_retargeted_and_is_reinstalled_while_the_container_runs()
    {
        var token = host.Serve("docker-restart", 7606);
        var other = sandbox.CreateToken("docker-other");
        host.Start("docker-restart", host.Config($"docker-restart Docker -Image {ContainerHost.Image} -Uid 5000"));
        Signs(token);
        sandbox.Run("systemctl", "restart", "docker-restart.socket").Succeeded();
        Signs(token);
        sandbox.HsmRemote("Get-Pkcs11Token -Label docker-other | Set-P11TargetUri -Name docker-restart").SucceededWithOne();
        Signs(other);
        var uninstalled = sandbox.HsmRemote("Uninstall-P11KitServer docker-restart -Confirm:$false");
        uninstalled.SucceededWithOne();
        var id = sandbox.Shell("docker inspect --format '{{.Id}}' docker-restart").Succeeded();
        Assert.Contains($"/run/docker-restart stays: the container {id[..12]} has it mounted", uninstalled.UnfoldedStdErr, StringComparison.Ordinal);
        sandbox.HsmRemote($"Install-P11KitServer docker-restart -Group docker-restart -GroupId 7606 -TargetUri '{other.Uri}'").SucceededWithOne();
        Signs(other);
        sandbox.Shell("docker rm --force docker-restart").Succeeded();

        void Signs(SoftHsmToken with) => Assert.Contains("Verified OK", host.Exec("docker-restart", ContainerHost.Sign(with)).Succeeded(), StringComparison.Ordinal);
    }

    [Fact]
    public void A_mount_of_the_socket_s_file_goes_stale_and_is_named()
    {
        host.ServeThroughFile("docker-file", 7607);
        Assert.Contains("token=docker-file", host.Exec("docker-file", ContainerHost.List).Succeeded(), StringComparison.Ordinal);
        sandbox.Run("systemctl", "restart", "docker-file.socket").Succeeded();
        var test = sandbox.HsmRemote("Test-P11Socket -Container docker-file").SucceededWithOne();
        Assert.Equal("StaleBindMount", test.GetProperty("Cause").GetString());
        sandbox.Shell("docker rm --force docker-file").Succeeded();
    }

    [Fact]
    public void Compose_starts_what_the_file_says()
    {
        Assert.SkipWhen(sandbox.Shell("command -v docker-compose").ExitCode != 0, "docker-compose is not installed: it has NOT started the compose file.");
        var token = host.Serve("docker-compose", 7608);
        sandbox.WriteFile("/srv/docker-compose/compose.yaml", $"services:\n  signer:\n    image: {ContainerHost.Image}\n    network_mode: none\n");
        sandbox.WriteFile("/srv/docker-compose/pin", token.Pin, "0600");
        sandbox.HsmRemote("New-P11ContainerConfig docker-compose Compose -Service signer -Uid 5000 -PinPath /srv/docker-compose/pin -PinAsSecret -Path /srv/docker-compose/compose.yaml").SucceededWithOne();
        // Whose the secret is stays when the .env file is written after it.
        sandbox.HsmRemote("New-P11ContainerConfig docker-compose Env -PinPath /srv/docker-compose/pin -PinAsSecret -Path /srv/docker-compose/.env").SucceededWithOne();
        sandbox.Shell("cd /srv/docker-compose; docker-compose --file compose.yaml up --detach 2>&1").Succeeded();
        var container = sandbox.Shell("docker ps --filter name=signer --format '{{.Names}}'").Succeeded();
        Assert.Contains("Verified OK", host.Exec(container, ContainerHost.Sign(token)).Succeeded(), StringComparison.Ordinal);
        Assert.Equal(token.Pin, host.Exec(container, "cat /run/secrets/pkcs11_pin").Succeeded());
        Assert.Equal(0, sandbox.HsmRemote($"Get-P11ContainerConfig {container}").SucceededWithOne().GetProperty("Differences").GetArrayLength());
        sandbox.Shell("cd /srv/docker-compose; docker-compose --file compose.yaml down 2>&1").Succeeded();
    }

    [Fact]
    public void A_daemon_that_remaps_users_is_told_to_leave_this_container_out()
    {
        var token = host.Serve("docker-remap", 7609);
        sandbox.Shell("sed 's#/run/containers-test/docker#/run/containers-test/remap#g' /etc/docker/daemon.json >/etc/docker/remap.json").Succeeded();
        const string Daemon = "unix:///run/remap.sock";
        host.StartDocker("docker-remap", Daemon, "--config-file=/etc/docker/remap.json --userns-remap=default --pidfile=/run/remap.pid");
        const string Remapped = $"$env:DOCKER_HOST = '{Daemon}'; New-P11ContainerConfig docker-remap Docker -Uid 5000";
        var refused = sandbox.HsmRemote($"try {{ {Remapped} -ErrorAction Stop }} catch {{ $_.FullyQualifiedErrorId; $_.ErrorDetails.RecommendedAction }}").Succeeded();
        Assert.StartsWith("UserNamespaceHidesGroup,", refused[0].GetString(), StringComparison.Ordinal);
        Assert.Contains("-UserNamespace host", refused[1].GetString(), StringComparison.Ordinal);

        var config = sandbox.HsmRemote($"{Remapped} -Image {ContainerHost.Image} -UserNamespace host").SucceededWithOne().GetString()!;
        Assert.Contains("--userns host ", config, StringComparison.Ordinal);
        const string Run = $"DOCKER_HOST={Daemon} docker run --rm --network=none";
        Assert.Contains("Verified OK", sandbox.Shell($"{Run} {config} sh -c {ContainerHost.Quote(ContainerHost.Sign(token))}").Succeeded(), StringComparison.Ordinal);
        // What was refused does not work, as root either.
        foreach (var user in (string[])["5000:5000", "0:0"])
        {
            var without = config.Replace("--userns host ", "", StringComparison.Ordinal).Replace("5000:5000", user, StringComparison.Ordinal);
            Assert.Equal("", sandbox.Shell($"{Run} {without} {ContainerHost.List}").StdOut);
        }

        sandbox.Run("systemctl", "stop", "docker-remap").Succeeded();
    }
}
