using System.Text.Json;

namespace HsmRemote.SystemTests;

/// <summary>Test-P11Socket against real servers: each cause that this machine can be brought to.</summary>
public sealed class SocketTests(SandboxFixture sandbox)
{
    [Fact]
    public void The_group_decides_whoever_the_user_is()
    {
        var token = sandbox.CreateToken("socket-group");
        sandbox.HsmRemote($"Install-P11KitServer socket-group -Group socket-group-users -GroupId 7101 -TargetUri '{token.Uri}'").SucceededWithOne();
        sandbox.Shell("useradd --system --groups socket-group-users socket-in; useradd --system socket-out").Succeeded();

        Works("-Uid 5000 -Gid 7101");
        Works("-Uid 5000 -Gid 5000 -SupplementaryGroup 7101");
        Works("-User socket-in");
        Works("");
        Assert.Equal("NotWritable", Fails("socket-group -Uid 5001 -Gid 5001"));
        Assert.Equal("NotWritable", Fails("socket-group -User socket-out"));

        // It was that user who connected, and not root.
        sandbox.Run("journalctl", "--sync").Succeeded();
        Assert.Contains("UID 5000", sandbox.Run("journalctl", "-u", "socket-group@*", "--output=cat").Succeeded(), StringComparison.Ordinal);

        void Works(string identity)
        {
            var test = sandbox.HsmRemote($"Test-P11Socket socket-group {identity}").SucceededWithOne();
            Assert.True(test.GetProperty("Succeeded").GetBoolean(), test.ToString());
            Assert.Equal("None", Text(test, "Cause"));
            Assert.Equal("socket-group", Text(Assert.Single(test.GetProperty("Tokens").EnumerateArray()), "Label"));
            Assert.All(test.GetProperty("Checks").EnumerateArray().SkipLast(2), check => Assert.Equal("Passed", Text(check, "Status")));
        }
    }

    [Fact]
    public void Nothing_at_the_path() => Assert.Equal("PathMissing", Fails("-SocketPath /run/socket-none/pkcs11"));

    [Fact]
    public void A_stopped_instance()
    {
        sandbox.HsmRemote("Install-P11KitServer socket-stopped").SucceededWithOne();
        sandbox.Run("systemctl", "stop", "socket-stopped.socket").Succeeded();
        Assert.Equal("PathMissing", Fails("socket-stopped"));
    }

    [Fact]
    public void A_directory_that_bars_the_way_is_named()
    {
        sandbox.HsmRemote("Install-P11KitServer socket-barred -SocketPath /run/socket-barred/in/pkcs11 -SocketMode 0666").SucceededWithOne();
        sandbox.Run("chmod", "0700", "/run/socket-barred").Succeeded();
        Assert.Equal("DirectoryNotSearchable", Fails("socket-barred -Uid 5000 -Gid 5000", "/run/socket-barred "));
    }

    [Fact]
    public void Something_else_than_a_socket()
    {
        sandbox.WriteFile("/run/socket-file", "no socket");
        Assert.Equal("NotASocket", Fails("-SocketPath /run/socket-file"));
    }

    [Fact]
    public void A_socket_file_that_nobody_listens_on()
    {
        sandbox.LeaveSocket("/run/socket-stale");
        Assert.Equal("NobodyListening", Fails("-SocketPath /run/socket-stale"));
    }

    [Fact]
    public void A_target_that_is_not_plugged_in_and_the_attribute_that_differs()
    {
        sandbox.CreateToken("socket-differs");
        sandbox.HsmRemote("Install-P11KitServer socket-differs -TargetUri 'pkcs11:token=socket-differs;serial=0000'").SucceededWithOne();
        Assert.Equal("NoSlots", Fails("socket-differs"));
    }

    [Fact]
    public void One_target_of_two_that_is_missing()
    {
        var token = sandbox.CreateToken("socket-half");
        sandbox.HsmRemote($"Install-P11KitServer socket-half -TargetUri '{token.Uri}', 'pkcs11:token=socket-absent'").SucceededWithOne();
        Assert.Equal("TargetNotFound", Fails("socket-half", "socket-absent"));
    }

    [Fact]
    public void A_peer_that_p11_kit_refuses()
    {
        sandbox.CreateToken("socket-peer");
        sandbox.Shell("systemd-run --quiet --unit=socket-peer p11-kit server -f -n /run/socket-peer.sock -u daemon pkcs11:token=socket-peer").Succeeded();
        sandbox.WaitFor("chmod 666 /run/socket-peer.sock");
        Assert.Equal("PeerRefused", Fails("-SocketPath /run/socket-peer.sock -Uid 5000 -Gid 5000"));
        Assert.True(sandbox.HsmRemote("Test-P11Socket -SocketPath /run/socket-peer.sock -Uid 1 -Gid 5000 -Quiet").SucceededWithOne().GetBoolean());
    }

    [Fact]
    public void A_queue_that_nobody_accepts_from()
    {
        sandbox.WriteFile("/etc/systemd/system/socket-full.socket", "[Socket]\nListenStream=/run/socket-full\nBacklog=0\n");
        sandbox.WriteFile("/etc/systemd/system/socket-full.service", "[Service]\nExecStart=/bin/sleep 60\n");
        // It starts the service, which does not take it; with it the queue is full (unix_recvq_full in the kernel: more than the backlog).
        sandbox.Shell("systemctl daemon-reload; systemctl start socket-full.socket; systemd-run --quiet --collect socat UNIX-CONNECT:/run/socket-full PIPE").Succeeded();
        sandbox.WaitFor("ss -Hxl src /run/socket-full | awk '$3 > $4 { full = 1 } END { exit !full }'");
        Assert.Equal("NeverAccepted", Fails("-SocketPath /run/socket-full -TimeoutSeconds 20"));
    }

    [Theory]
    [InlineData("cut", "(stdbuf -o0 head -c 100; kill 0)", "ConnectionLost")]
    [InlineData("garbled", "(stdbuf -o0 head -c 60; stdbuf -o0 tr '\\\\000' '\\\\377')", "MalformedReply")]
    [InlineData("other", "stdbuf -o0 tr '\\\\000' 'S'", "NotP11Kit")]
    public void A_conversation_that_something_between_spoils(string name, string filter, string cause)
    {
        var token = sandbox.CreateToken($"socket-{name}");
        sandbox.HsmRemote($"Install-P11KitServer socket-{name} -TargetUri '{token.Uri}'").SucceededWithOne();
        sandbox.WriteFile($"/etc/systemd/system/socket-{name}@.service.d/spoil.conf", $"[Service]\nSystemCallFilter=kill\nExecStart=\nExecStart=/bin/sh -c \"p11-kit remote $TARGET_PKCS11_URI | {filter}\"\n");
        sandbox.Run("systemctl", "daemon-reload").Succeeded();
        Assert.Equal(cause, Fails($"socket-{name}"));
    }

    [Fact]
    public void Another_service_than_p11_kit()
    {
        // It stays until we hang up: socat loses the last words of a program that has ended.
        sandbox.Shell("systemd-run --quiet --unit=socket-http socat UNIX-LISTEN:/run/socket-http,fork SYSTEM:'echo HTTP/1.1 400 Bad Request; cat >/dev/null'").Succeeded();
        sandbox.WaitFor("test -S /run/socket-http");
        Assert.Equal("NotP11Kit", Fails("-SocketPath /run/socket-http"));
    }

    [Fact]
    public void A_service_that_never_answers_is_given_up_in_time()
    {
        sandbox.Shell("systemd-run --quiet --unit=socket-silent socat UNIX-LISTEN:/run/socket-silent,fork SYSTEM:'sleep 600'").Succeeded();
        sandbox.WaitFor("test -S /run/socket-silent");
        Assert.Equal("Silent", Fails("-SocketPath /run/socket-silent -TimeoutSeconds 0.5"));
    }

    [Fact]
    public void Every_instance_is_tested_from_the_pipeline()
    {
        sandbox.HsmRemote("Install-P11KitServer socket-many1; Install-P11KitServer socket-many2").Succeeded();
        var tests = sandbox.HsmRemote("Get-P11KitServer socket-many? | Test-P11Socket").Succeeded();
        Assert.Equal(["socket-many1", "socket-many2"], tests.Select(t => Text(t, "Name")).Order(StringComparer.Ordinal));
    }

    [Fact]
    public void The_ladder_is_shown_on_a_screen()
    {
        sandbox.HsmRemote("Install-P11KitServer socket-shown").SucceededWithOne();
        var shown = sandbox.Run(SandboxFixture.ShellPath, "-NoProfile", "-Command", "Test-P11Socket socket-shown -Uid 5000 -Gid 5000 -TimeoutSeconds 60").Succeeded();
        Assert.StartsWith("/run/socket-shown/pkcs11 as uid=5000 gid=5000: NotWritable", shown, StringComparison.Ordinal);
        Assert.Contains("  FAIL  Permission", shown, StringComparison.Ordinal);
        Assert.Contains("  -     Connect", shown, StringComparison.Ordinal);
        Assert.True(shown.Split('\n').Length < 24, shown);
    }

    [Theory]
    [InlineData("socket-no-such", "ServerNotFound")]
    [InlineData("-SocketPath /x -User no-such-user", "UserNotFound")]
    [InlineData("-SocketPath /x -Uid 54321", "GroupIdRequired")]
    [InlineData("-SocketPath /x -User root -Uid 0", "IdentityAmbiguous")]
    [InlineData("-SocketPath /x -TimeoutSeconds 0", "ParameterArgumentValidationError")]
    public void What_cannot_be_tested_is_an_error(string arguments, string errorId)
    {
        var error = sandbox.HsmRemote($$"""try { Test-P11Socket {{arguments}} -ErrorAction Stop } catch { $_.FullyQualifiedErrorId }""").SucceededWithOne();
        Assert.StartsWith($"{errorId},", error.GetString(), StringComparison.Ordinal);
    }

    string Fails(string arguments, string explained = "")
    {
        var test = sandbox.HsmRemote($"Test-P11Socket {arguments}").SucceededWithOne();
        Assert.False(test.GetProperty("Succeeded").GetBoolean());
        Assert.NotEmpty(Text(test, "Remedy"));
        Assert.Contains(explained, Text(test, "Explanation"), StringComparison.Ordinal);
        Assert.False(sandbox.HsmRemote($"Test-P11Socket {arguments} -Quiet").SucceededWithOne().GetBoolean());
        return Text(test, "Cause");
    }

    static string Text(JsonElement element, string property) => element.GetProperty(property).GetString()!;
}
