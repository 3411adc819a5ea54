using System.Text.Json;

namespace HsmRemote.SystemTests;

/// <summary>Test-P11Socket as a process and as a container, and the causes that only the host knows, each provoked for real.</summary>
public sealed class SocketHostTests(SandboxFixture sandbox)
{
    [Fact]
    public void A_process_has_its_own_ids_groups_and_address()
    {
        var token = sandbox.CreateToken("host-process");
        sandbox.HsmRemote($"Install-P11KitServer host-process -Group host-process-users -GroupId 7301 -TargetUri '{token.Uri}'").SucceededWithOne();
        var process = Start("host-process-in", "setpriv --reuid=5000 --regid=5000 --groups=7301 env P11_KIT_SERVER_ADDRESS=unix:path=/run/host%2Dprocess/pkcs11 sleep 600");
        var test = Test($"-ProcessId {process}");
        Assert.True(test.GetProperty("Succeeded").GetBoolean(), test.ToString());
        Assert.Equal("host-process", Text(test, "Name"));
        Assert.Equal("/run/host-process/pkcs11", Text(test, "SocketPath"));
        Assert.Equal((process, 5000, 7301), (
            test.GetProperty("Identity").GetProperty("ProcessId").GetInt32(),
            test.GetProperty("Identity").GetProperty("UserId").GetInt32(),
            Assert.Single(test.GetProperty("Identity").GetProperty("SupplementaryGroupId").EnumerateArray()).GetInt32()));
        sandbox.Run("journalctl", "--sync").Succeeded();
        Assert.Contains("UID 5000", sandbox.Run("journalctl", "-u", "host-process@*", "--output=cat").Succeeded(), StringComparison.Ordinal);

        var outside = Start("host-process-out", "setpriv --reuid=5000 --regid=5000 --clear-groups sleep 600");
        Fails("NotWritable", $"host-process -ProcessId {outside}");
    }

    [Fact]
    public void An_address_that_was_lost_on_the_way()
    {
        var process = Start("host-lost", "sleep 600");
        Fails("AddressLost", $"-ProcessId {process}", "/run/user/0/p11-kit/pkcs11");
    }

    [Fact]
    public void An_address_that_is_a_bare_path()
    {
        var process = Start("host-bare", "env P11_KIT_SERVER_ADDRESS=/run/host-bare/pkcs11 sleep 600");
        Fails("AddressMalformed", $"-ProcessId {process}", "unix:path=/PATH");
    }

    [Fact]
    public void A_link_does_not_lead_out_of_what_the_process_sees()
    {
        sandbox.HsmRemote("Install-P11KitServer host-link").SucceededWithOne();
        var process = Start(
            "host-link-root",
            "unshare -m bash -c 'mkdir -p /mnt/host-link; mount -t tmpfs tmpfs /mnt/host-link; cd /mnt/host-link; mkdir run usr; mount --rbind /usr usr;"
            + " ln -s usr/bin usr/lib usr/lib64 .; ln -s /run/host-link/pkcs11 run/link; ln -s ../../../../../../run/host-link run/up; exec chroot . /usr/bin/sleep 600'");
        Fails("PathMissing", $"-SocketPath /run/link -ProcessId {process}");
        Fails("PathMissing", $"-SocketPath /run/up/pkcs11 -ProcessId {process}");
        Fails("PathMissing", $"host-link -ProcessId {process}", "is not mounted");
    }

    [Fact]
    public void A_bind_mount_of_the_socket_s_file_from_before_the_restart()
    {
        var token = sandbox.CreateToken("host-bind");
        sandbox.HsmRemote($"Install-P11KitServer host-bind -TargetUri '{token.Uri}'").SucceededWithOne();
        var process = Start(
            "host-bind-view",
            "unshare -m bash -c 'touch /mnt/host-bind; mount --bind /run/host-bind/pkcs11 /mnt/host-bind; mount -t tmpfs tmpfs /run/host-bind;"
            + " touch /run/host-bind/pkcs11; mount --bind /mnt/host-bind /run/host-bind/pkcs11; exec sleep 600'");
        Assert.True(Test($"host-bind -ProcessId {process}").GetProperty("Succeeded").GetBoolean());
        sandbox.Run("systemctl", "restart", "host-bind.socket").Succeeded();
        Fails("StaleBindMount", $"host-bind -ProcessId {process}", "no longer listens on");
        Assert.True(Test("host-bind").GetProperty("Succeeded").GetBoolean());
    }

    [Fact]
    public void A_file_that_is_not_the_one_that_the_unit_listens_on()
    {
        sandbox.HsmRemote("Install-P11KitServer host-replaced").SucceededWithOne();
        sandbox.LeaveSocket("/run/host-replaced/pkcs11");
        Fails("StaleSocketFile", "host-replaced", "host-replaced.socket");
    }

    [Fact]
    public void A_file_that_a_stopped_server_left()
    {
        sandbox.HsmRemote("Install-P11KitServer host-stopped").SucceededWithOne();
        sandbox.Run("systemctl", "stop", "host-stopped.socket").Succeeded();
        sandbox.LeaveSocket("/run/host-stopped/pkcs11");
        var test = Fails("NobodyListening", "host-stopped", "is not started");
        Assert.Contains("systemctl start host-stopped.socket", Text(test, "Remedy"), StringComparison.Ordinal);
    }

    [Fact]
    public void A_daemon_that_wants_another_peer_is_quoted()
    {
        sandbox.CreateToken("host-peer");
        sandbox.WriteFile(
            "/etc/systemd/system/host-peer.service",
            "[Service]\nExecStart=/usr/bin/p11-kit server -f -n /run/host-peer.sock -u daemon --group=games pkcs11:token=host-peer\nExecStartPost=/bin/sh -c 'until test -S /run/host-peer.sock; do sleep 0.1; done; chmod 666 /run/host-peer.sock'\n");
        sandbox.Run("systemctl", "start", "host-peer.service").Succeeded();
        Fails("PeerRefused", "host-peer -Uid 5000 -Gid 5000", "uid 1 (daemon) and primary gid 60 (games)");
        Fails("PeerRefused", "host-peer -Uid 1 -Gid 5000 -SupplementaryGroup 60");
        Assert.True(sandbox.HsmRemote("Test-P11Socket host-peer -Uid 1 -Gid 60 -Quiet").SucceededWithOne().GetBoolean());
    }

    [Theory]
    [InlineData("host-uri", "echo 'TARGET_PKCS11_URI=\"pkcs11:token=%zz\"' >/etc/host-uri/config.env", "p11-kit")]
    [InlineData("host-noenv", "rm /etc/host-noenv/config.env", "environment files")]
    [InlineData("host-module", "mkdir /etc/systemd/system/host-module@.service.d; printf '[Service]\\nExecStart=\\nExecStart=/usr/bin/p11-kit remote /no/module.so\\n' >/etc/systemd/system/host-module@.service.d/no.conf; systemctl daemon-reload", "status=1")]
    public void A_remote_that_ends_at_once_has_the_last_word(string name, string damage, string said)
    {
        sandbox.HsmRemote($"Install-P11KitServer {name} -TargetUri 'pkcs11:token={name}'").SucceededWithOne();
        sandbox.Shell(damage).Succeeded();
        var test = Fails("RemoteFailed", name, said);
        var journal = test.GetProperty("Journal").EnumerateArray().Select(line => line.GetString()!).ToList();
        Assert.InRange(journal.Count, 1, 10);
        Assert.Contains(journal, line => line.Contains(said, StringComparison.Ordinal));
    }

    [Fact]
    public void An_ACL_counts_and_its_mask_is_named()
    {
        sandbox.HsmRemote("Install-P11KitServer host-acl").SucceededWithOne();
        SetAcl("u:5001:rw");
        Assert.NotEqual("NotWritable", Text(Test("host-acl -Uid 5001 -Gid 5001"), "Cause"));
        SetAcl("u:5001:rw,m::r");
        Fails("NotWritable", "host-acl -Uid 5001 -Gid 5001", "the mask r-- takes that away");
        Assert.Equal("NotWritable", Text(TestAsNobody("host-acl -Uid 5001 -Gid 5001"), "Cause"));

        void SetAcl(string acl)
        {
            sandbox.WriteFile("/run/host-acl.conf", $"a+ /run/host-acl/pkcs11 - - - - {acl}\n");
            sandbox.Run("systemd-tmpfiles", "--create", "/run/host-acl.conf").Succeeded();
        }
    }

    [Fact]
    public void Who_is_not_root_is_told_what_can_be_computed()
    {
        sandbox.HsmRemote("Install-P11KitServer host-computed -Group host-computed-users -GroupId 7302 -SocketPath /run/host-computed/in/pkcs11").SucceededWithOne();
        var test = TestAsNobody("host-computed -Uid 5000 -Gid 7302");
        Assert.Equal("IdentityNotPermitted", Text(test, "Cause"));
        Assert.Equal(JsonValueKind.Null, test.GetProperty("FailedCheck").ValueKind);
        Assert.Contains("sudo", Text(test, "Remedy"), StringComparison.Ordinal);
        Assert.Equal(
            ["Passed", "Passed", "Passed", "Skipped"],
            test.GetProperty("Checks").EnumerateArray().Take(4).Select(check => Text(check, "Status")));
        Assert.All(test.GetProperty("Checks").EnumerateArray().Skip(3), check => Assert.Contains("root", Text(check, "Detail"), StringComparison.Ordinal));
        Assert.Contains("computed, not tried", Text(test.GetProperty("Checks")[2], "Detail"), StringComparison.Ordinal);

        Assert.Equal("NotWritable", Text(TestAsNobody("host-computed -Uid 5000 -Gid 5000"), "Cause"));
        sandbox.Run("chmod", "0711", "/run/host-computed/in").Succeeded();
        sandbox.Run("chmod", "0750", "/run/host-computed").Succeeded();
        // What the identity may, the caller need not: nobody cannot look into it.
        Assert.Equal("DirectoryNotSearchable", Text(TestAsNobody("host-computed -Uid 5000 -Gid 5000"), "Cause"));
        Assert.Equal("IdentityNotPermitted", Text(TestAsNobody("host-computed -Uid 0 -Gid 0"), "Cause"));
    }

    [Fact]
    public void Several_at_a_time()
    {
        for (var i = 0; i < 6; i++)
        {
            sandbox.WriteFile($"/etc/systemd/system/host-slow{i}@.service", "[Service]\nExecStart=/bin/sh -c 'sleep 30; exec p11-kit remote pkcs11:'\nStandardInput=socket\nStandardOutput=socket\n");
            sandbox.WriteFile($"/etc/systemd/system/host-slow{i}.socket", $"[Socket]\nListenStream=/run/host-slow{i}\nAccept=yes\n");
        }

        sandbox.Shell("systemctl daemon-reload; systemctl start host-slow{0..5}.socket").Succeeded();
        var together = Seconds(6);
        var inPairs = Seconds(2);
        Assert.True(together < inPairs, $"{together} s for six at a time, {inPairs} s for two");
        Assert.True(inPairs >= 9, $"{inPairs} s: more than two at a time");

        double Seconds(int limit)
        {
            var result = sandbox.HsmRemote($$"""
                $servers = Get-P11KitServer host-slow?
                $watch = [Diagnostics.Stopwatch]::StartNew()
                $tests = $servers | Test-P11Socket -TimeoutSeconds 3 -ThrottleLimit {{limit}}
                $watch.Elapsed.TotalSeconds
                $tests.Cause
                """).Succeeded();
            Assert.Equal(6, result.Skip(1).Count(cause => cause.GetString() is "Silent"));
            return result[0].GetDouble();
        }
    }

    // In a system of its own: the module would lead every server of the shared one to this socket. An instance does not see
    // its own socket, so a drop-in shows it.
    [Fact]
    public void A_server_that_is_a_client_of_itself()
    {
        const string script = """
            softhsm2-util --init-token --free --label host-loop --pin 123456 --so-pin 87654321 >&2
            output/shell/hsmremote -NoProfile -NonInteractive -Command "Install-P11KitServer host-loop -TargetUri 'pkcs11:token=host-loop'" >&2
            mkdir -p /etc/systemd/system/host-loop.socket.d /etc/systemd/system/host-loop@.service.d /etc/pkcs11/modules
            printf '[Socket]\nMaxConnections=60\n' >/etc/systemd/system/host-loop.socket.d/few.conf
            printf '[Service]\nTasksMax=5\nRuntimeMaxSec=20\nBindReadOnlyPaths=/run/host-loop\nExecStartPre=/bin/sleep 2\n' >/etc/systemd/system/host-loop@.service.d/few.conf
            echo 'remote: unix:path=/run/host-loop/pkcs11' >/etc/pkcs11/modules/self.module
            systemctl daemon-reload
            systemctl restart host-loop.socket
            output/shell/hsmremote -NoProfile -NonInteractive -Command 'foreach ($i in 1..5) { $test = Test-P11Socket host-loop -TimeoutSeconds 1; if ($test.Cause -eq "ClientLoop") { break } }; "$($test.Cause) $($test.FailedCheck) $($test.Explanation)"'
            echo 'disable-in: remote, p11-kit-remote' >>/etc/pkcs11/modules/self.module
            systemctl stop 'host-loop@*'
            systemctl restart host-loop.socket
            output/shell/hsmremote -NoProfile -NonInteractive -Command '(Test-P11Socket host-loop -TimeoutSeconds 60).Cause'
            """;
        var result = CommandResult.Of(SandboxFixture.DefaultDeadline, "", SandboxFixture.Script, ["bash", "-euc", script]);
        if (result.ExitCode == 77)
            Assert.Skip(result.StdErr);
        var lines = result.Succeeded().Split('\n');
        Assert.StartsWith("ClientLoop ", lines[0], StringComparison.Ordinal);
        Assert.Contains("'self', which is 'remote: unix:path=/run/host-loop/pkcs11'", lines[0], StringComparison.Ordinal);
        Assert.Equal("None", lines[1]);
    }

    [Fact]
    public void A_container_is_found_by_its_name()
    {
        if (sandbox.Shell("command -v podman && command -v crun").ExitCode != 0)
            Assert.Skip("podman and crun are not both installed: -Container is NOT tested.");
        var token = sandbox.CreateToken("host-container");
        sandbox.HsmRemote($"Install-P11KitServer host-container -Group host-container-users -GroupId 7303 -TargetUri '{token.Uri}'").SucceededWithOne();
        sandbox.WriteFile("/run/hc/containers.conf", "[containers]\ncgroups = \"disabled\"\ndefault_ulimits = []\n[engine]\nruntime = \"crun\"\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"none\"\n");
        sandbox.WriteFile("/run/hc/storage.conf", "[storage]\ndriver = \"vfs\"\ngraphroot = \"/var/tmp/hc/storage\"\nrunroot = \"/run/hc/containers\"\n");
        sandbox.Shell(
            "mkdir -p /var/tmp/hc/root/{usr,run,tmp,etc,proc,sys,dev,var}; ln -s usr/bin usr/lib usr/lib64 /var/tmp/hc/root/; "
            + Podman("run --detach --name host-with --rootfs --network=none --user 5000:5000 --group-add 7303 --volume /usr:/usr:ro --volume /run/host-container:/run/host-container"
                + " --volume /run/host-container/pkcs11:/run/file --env P11_KIT_SERVER_ADDRESS=unix:path=/run/host-container/pkcs11 /var/tmp/hc/root sleep 600")
            + "; " + Podman("create --name host-stopped --rootfs --network=none /var/tmp/hc/root sleep 600")).Succeeded();

        var test = InContainer("Test-P11Socket -Container host-with").SucceededWithOne();
        Assert.True(test.GetProperty("Succeeded").GetBoolean(), test.ToString());
        Assert.Equal("host-with", Text(test.GetProperty("Identity"), "ContainerName"));
        Assert.Equal(5000, test.GetProperty("Identity").GetProperty("UserId").GetInt32());
        Assert.Equal("ContainerNotFound", Error("host-none"));
        Assert.Equal("ContainerNotRunning", Error("host-stopped"));

        sandbox.Run("systemctl", "restart", "host-container.socket").Succeeded();
        Assert.True(InContainer("Test-P11Socket -Container host-with").SucceededWithOne().GetProperty("Succeeded").GetBoolean());
        Assert.Equal("StaleBindMount", Text(InContainer("Test-P11Socket -Container host-with -SocketPath /run/file").SucceededWithOne(), "Cause"));

        static string Podman(string arguments) => $"CONTAINERS_CONF=/run/hc/containers.conf CONTAINERS_STORAGE_CONF=/run/hc/storage.conf podman {arguments}";

        HsmRemoteResult InContainer(string command) => sandbox.HsmRemote(
            $"$env:CONTAINERS_CONF = '/run/hc/containers.conf'; $env:CONTAINERS_STORAGE_CONF = '/run/hc/storage.conf'; {command}");

        string Error(string container) => InContainer($$"""try { Test-P11Socket -Container {{container}} -ErrorAction Stop } catch { $_.FullyQualifiedErrorId }""")
            .SucceededWithOne().GetString()!.Split(',')[0];
    }

    [Theory]
    [InlineData("-ProcessId 4000000", "ProcessNotFound")]
    [InlineData("-ProcessId 1 -User root", "IdentityAmbiguous")]
    [InlineData("-ProcessId 1 -Uid 0", "IdentityAmbiguous")]
    [InlineData("-Container x -ProcessId 1", "IdentityAmbiguous")]
    public void What_cannot_be_tested_is_an_error(string arguments, string errorId)
    {
        var error = sandbox.HsmRemote($$"""try { Test-P11Socket {{arguments}} -ErrorAction Stop } catch { $_.FullyQualifiedErrorId }""").SucceededWithOne();
        Assert.StartsWith($"{errorId},", error.GetString(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("Test-P11Socket -Container x", true)]
    [InlineData("Get-P11ContainerConfig x", false)]
    public void No_engine_is_an_error_whose_remedy_the_cmdlet_has(string command, bool takesProcess)
    {
        var error = sandbox.HsmRemote($$"""$env:PATH = '/nowhere'; try { {{command}} -ErrorAction Stop } catch { "$($_.FullyQualifiedErrorId) $($_.Exception.Message)" }""").SucceededWithOne().GetString()!;
        Assert.StartsWith("NoContainerEngine,", error, StringComparison.Ordinal);
        Assert.Equal(takesProcess, error.Contains("-ProcessId", StringComparison.Ordinal));
    }

    /// <summary>Starts a process that stays, and gives its number.</summary>
    int Start(string name, string command)
    {
        sandbox.WriteFile($"/run/{name}.sh", $"exec {command}\n");
        var process = sandbox.Shell($"systemd-run --quiet --unit={name} bash /run/{name}.sh; systemctl show -P MainPID {name}").Succeeded();
        sandbox.WaitFor($"grep -qx sleep /proc/{process}/comm");
        return int.Parse(process, System.Globalization.CultureInfo.InvariantCulture);
    }

    JsonElement Test(string arguments) => sandbox.HsmRemote($"Test-P11Socket {arguments}").SucceededWithOne();

    JsonElement TestAsNobody(string arguments)
    {
        var result = sandbox.Run(
            "setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "env", "HOME=/tmp",
            SandboxFixture.ShellPath, "-NoProfile", "-NonInteractive", "-OutputFormat", "Json", "-Command", $"Test-P11Socket {arguments}").Succeeded();
        return Assert.Single(JsonDocument.Parse(result).RootElement.EnumerateArray());
    }

    JsonElement Fails(string cause, string arguments, string explained = "")
    {
        var test = Test(arguments);
        Assert.Equal(cause, Text(test, "Cause"));
        Assert.False(test.GetProperty("Succeeded").GetBoolean());
        Assert.NotEmpty(Text(test, "Remedy"));
        Assert.Contains(explained, Text(test, "Explanation"), StringComparison.Ordinal);
        return test;
    }

    static string Text(JsonElement element, string property) => element.GetProperty(property).GetString()!;
}
