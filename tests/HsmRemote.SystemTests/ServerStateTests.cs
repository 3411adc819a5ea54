using System.Text.Json;

namespace HsmRemote.SystemTests;

/// <summary>What Get-P11KitServer tells of an instance, and Start-, Stop- and Restart-P11KitServer.</summary>
public sealed class ServerStateTests(SandboxFixture sandbox)
{
    [Fact]
    public void Connections_are_counted_and_those_beyond_the_limit_are_refused()
    {
        sandbox.HsmRemote("Install-P11KitServer state-full -TargetUri pkcs11:token=x").SucceededWithOne();
        sandbox.WriteFile("/etc/systemd/system/state-full.socket.d/limit.conf", "[Socket]\nMaxConnections=1\n");
        sandbox.Shell("systemctl daemon-reload; systemctl restart state-full.socket").Succeeded();
        Hold("state-full-one", "/run/state-full/pkcs11");
        sandbox.Shell("socat UNIX-CONNECT:/run/state-full/pkcs11 PIPE || true").Succeeded();

        var server = Server("state-full");
        Assert.Equal((1u, 1u, 1u), (Number(server, "Connections"), Number(server, "AcceptedConnections"), Number(server, "RefusedConnections")));
        Assert.Equal("state-full@.service", Text(server, "ServiceUnit"));
    }

    [Fact]
    public void Memory_and_processor_time_are_what_systemd_accounts()
    {
        sandbox.HsmRemote("Install-P11KitServer state-use -TargetUri pkcs11:token=x").SucceededWithOne();
        Assert.Equal(0, Server("state-use").GetProperty("MemoryBytes").GetInt64());
        Hold("state-use-one", "/run/state-use/pkcs11");
        var unit = sandbox.Shell("systemctl list-units --plain --no-legend 'state-use@*' | cut -d' ' -f1").Succeeded();
        var accounted = sandbox.Run("systemctl", "show", "-P", "MemoryCurrent", unit).Succeeded() is not "[not set]";
        var server = Server("state-use");
        Assert.Equal(accounted ? JsonValueKind.Number : JsonValueKind.Null, server.GetProperty("MemoryBytes").ValueKind);
        // What takes longer is left out where it was not asked for.
        var brief = Assert.Single(sandbox.HsmRemote("Get-P11KitServer state-us*").Succeeded());
        Assert.Equal(JsonValueKind.Null, brief.GetProperty("Drift").ValueKind);
        Assert.Equal(JsonValueKind.Array, Assert.Single(sandbox.HsmRemote("Get-P11KitServer state-us* -Detailed").Succeeded()).GetProperty("Drift").ValueKind);
    }

    [Fact]
    public void What_is_odd_beside_an_instance_or_in_its_unit_keeps_nobody_from_seeing_it()
    {
        sandbox.WriteFile("/srv/state-odd/softhsm2.conf", "directories.tokendir = /srv/state-odd\n", "0640");
        sandbox.HsmRemote("Install-P11KitServer state-odd -Environment @{ SOFTHSM2_CONF = '/srv/state-odd/softhsm2.conf' }").SucceededWithOne();
        // A copy that is no unit to systemd, and a mode that is none.
        sandbox.Shell("cd /etc/systemd/system; cp state-odd@.service 'state-odd (old)@.service'; cp state-odd@.service 'state-odd+old@.service'; sed -i s/SocketMode=.*/SocketMode=068O/ state-odd.socket; systemctl daemon-reload").Succeeded();
        var server = Assert.Single(sandbox.HsmRemote("Get-P11KitServer state-odd* -Detailed").Succeeded());
        Assert.Contains("+SocketMode=0660", Text(Assert.Single(server.GetProperty("Drift").EnumerateArray()), "Difference"), StringComparison.Ordinal);
        var stranger = sandbox.Run("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "env", "HOME=/", SandboxFixture.ShellPath, "-NoProfile", "-NonInteractive", "-Command", "(Get-P11KitServer state-odd).Name");
        Assert.StartsWith("state-odd", stranger.Succeeded(), StringComparison.Ordinal);
        sandbox.HsmRemote("Install-P11KitServer state-odd; Uninstall-P11KitServer state-odd").Succeeded();
        sandbox.Shell("cd /etc/systemd/system; rm state-odd?*@.service").Succeeded();
    }

    [Fact]
    public void Drift_is_what_an_install_would_put_right_and_a_drop_in_is_none()
    {
        sandbox.HsmRemote("Install-P11KitServer state-drift -SocketMode 0600").SucceededWithOne();
        Assert.Empty(Server("state-drift").GetProperty("Drift").EnumerateArray());

        sandbox.WriteFile("/etc/systemd/system/state-drift.socket.d/mode.conf", "[Socket]\nSocketMode=0666\n");
        sandbox.Shell("systemctl daemon-reload; systemctl restart state-drift.socket").Succeeded();
        var server = Server("state-drift");
        Assert.Equal("0666", Text(server, "SocketMode"));
        Assert.Empty(server.GetProperty("Drift").EnumerateArray());
        Assert.Equal("/etc/systemd/system/state-drift.socket.d/mode.conf", Assert.Single(server.GetProperty("DropInPath").EnumerateArray()).GetString());

        sandbox.Shell("sed -i /NoNewPrivileges/d /etc/systemd/system/state-drift@.service; chmod 0600 /etc/systemd/system/state-drift.socket").Succeeded();
        var drift = Server("state-drift").GetProperty("Drift").EnumerateArray().ToDictionary(d => Text(d, "Path"), StringComparer.Ordinal);
        Assert.Equal(2, drift.Count);
        // Who may not read it is told the rest.
        var stranger = sandbox.Run("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "env", "HOME=/", SandboxFixture.ShellPath, "-NoProfile", "-NonInteractive", "-Command", "(Get-P11KitServer state-drift).State");
        Assert.Equal("Listening", stranger.Succeeded());
        Assert.Contains("\n+NoNewPrivileges=yes", Text(drift["/etc/systemd/system/state-drift@.service"], "Difference"), StringComparison.Ordinal);
        Assert.Contains("mode 0600 to 0644", Text(drift["/etc/systemd/system/state-drift.socket"], "Description"), StringComparison.Ordinal);
    }

    [Fact]
    public void The_journal_comes_as_objects_and_a_connection_s_entries_have_its_peer()
    {
        sandbox.HsmRemote("Install-P11KitServer state-log -SocketMode 0666 -TargetUri pkcs11:token=x").SucceededWithOne();
        var process = Hold("state-log-one", "/run/state-log/pkcs11", "setpriv --reuid=5000 --regid=5000 --clear-groups");
        sandbox.Run("journalctl", "--sync").Succeeded();

        var log = sandbox.HsmRemote("Get-P11KitServer state-log -Log 50").Succeeded();
        Assert.Equal("state-log.socket", Text(log[0], "Unit"));
        Assert.Equal("Information", Text(log[0], "Priority"));
        Assert.Contains(log, entry => Text(entry, "Message").StartsWith("Listening", StringComparison.Ordinal));
        Assert.Contains(log, entry => entry.GetProperty("PeerProcessId") is { ValueKind: JsonValueKind.Number } peer && peer.GetInt32() == process && entry.GetProperty("PeerUserId").GetUInt32() == 5000);
        Assert.Equal(log.Select(entry => entry.GetProperty("Time").GetDateTimeOffset()).Order(), log.Select(entry => entry.GetProperty("Time").GetDateTimeOffset()));
        Assert.True(DateTimeOffset.Now - log[0].GetProperty("Time").GetDateTimeOffset() < TimeSpan.FromMinutes(10));
        // As many as journalctl has, and the newest of them.
        var last = sandbox.HsmRemote("Get-P11KitServer state-log -Log 2").Succeeded();
        Assert.Equal(log[^2..].Select(entry => Text(entry, "Message")), last.Select(entry => Text(entry, "Message")));
        Assert.Equal(
            sandbox.Shell("journalctl -u state-log.socket -u 'state-log@*' -o cat | wc -l").Succeeded(), $"{sandbox.HsmRemote("Get-P11KitServer state-log -Log 1000").Succeeded().Length}");
        Assert.Equal(Text(log[^1], "Message"), Text(Server("state-log").GetProperty("Log").EnumerateArray().Last(), "Message"));
    }

    [Fact]
    public void The_group_systemd_journal_may_read_the_log_and_others_are_told()
    {
        sandbox.HsmRemote("Install-P11KitServer state-reader").SucceededWithOne();
        sandbox.Run("journalctl", "--sync").Succeeded();
        var group = sandbox.Shell("getent group systemd-journal | cut -d: -f3").Succeeded();
        var member = sandbox.Run("setpriv", "--reuid=65534", "--regid=65534", $"--groups={group}", SandboxFixture.ShellPath, "-NoProfile", "-Command", "Get-P11KitServer state-reader -Log 5");
        Assert.Contains("Listening", member.Succeeded(), StringComparison.Ordinal);
        Assert.DoesNotContain("WARNING", member.StdErr, StringComparison.Ordinal);
        var other = sandbox.Run("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", SandboxFixture.ShellPath, "-NoProfile", "-Command", "Get-P11KitServer state-reader -Log 5");
        Assert.Contains("usermod -aG systemd-journal", other.StdErr, StringComparison.Ordinal);
        Assert.Equal("", other.Succeeded());
    }

    [Fact]
    public void A_stop_ends_the_open_connections_and_a_second_one_changes_nothing()
    {
        sandbox.HsmRemote("Install-P11KitServer state-run -TargetUri pkcs11:token=x").SucceededWithOne();
        Hold("state-run-one", "/run/state-run/pkcs11");
        var predicted = sandbox.HsmRemote("Stop-P11KitServer state-run -WhatIf").SucceededWithOne();
        Assert.Equal("Listening", Text(Server("state-run"), "State"));

        var stop = sandbox.HsmRemote("Get-P11KitServer state-run | Stop-P11KitServer").SucceededWithOne();
        Assert.True(Changed(stop));
        Assert.Equal(["Stop state-run.socket", "End the open connections (state-run@*.service: 1)"], Descriptions(stop));
        Assert.Equal(Descriptions(predicted), Descriptions(stop));
        Assert.Equal("Stopped", Text(Server("state-run"), "State"));
        sandbox.WaitFor("! systemctl is-active --quiet state-run-one");
        Assert.False(Changed(sandbox.HsmRemote("Stop-P11KitServer state-run").SucceededWithOne()));

        Assert.True(Changed(sandbox.HsmRemote("Start-P11KitServer state-ru*").SucceededWithOne()));
        Assert.False(Changed(sandbox.HsmRemote("Start-P11KitServer state-run").SucceededWithOne()));
        var inode = sandbox.Run("stat", "-c", "%i", "/run/state-run/pkcs11").Succeeded();
        Hold("state-run-two", "/run/state-run/pkcs11");
        var restart = sandbox.HsmRemote("Restart-P11KitServer state-run").SucceededWithOne();
        Assert.True(Changed(restart));
        Assert.Contains("End the open connections (state-run@*.service: 1)", Descriptions(restart));
        Assert.NotEqual(inode, sandbox.Run("stat", "-c", "%i", "/run/state-run/pkcs11").Succeeded());
        sandbox.WaitFor("! systemctl is-active --quiet state-run-two");
        Assert.True(Changed(sandbox.HsmRemote("Restart-P11KitServer state-run").SucceededWithOne()));
    }

    [Fact]
    public void A_start_that_fails_shows_what_the_unit_said_and_leaves_it_stopped()
    {
        sandbox.WriteFile("/etc/systemd/system/state-bad.service", "[Service]\nExecStartPre=/bin/sh -c 'echo the reader is not there >&2; exit 1'\nExecStart=/usr/bin/p11-kit server -f -n /run/state-bad.sock pkcs11:token=x\n");
        sandbox.Run("systemctl", "daemon-reload").Succeeded();
        var result = sandbox.HsmRemote("Start-P11KitServer state-bad");
        Assert.Equal(1, result.ExitCode);
        Assert.Contains("the reader is not there", result.StdErr.ReplaceLineEndings(" "), StringComparison.Ordinal);
        Assert.Contains("nothing has changed", result.StdErr.ReplaceLineEndings(" "), StringComparison.Ordinal);
        Assert.Equal("Stopped", Text(Server("state-bad"), "State"));
    }

    [Theory]
    [InlineData("Start-P11KitServer state-none", "ServerNotFound")]
    [InlineData("Stop-P11KitServer state-none", "ServerNotFound")]
    [InlineData("Restart-P11KitServer state-none", "ServerNotFound")]
    [InlineData("Get-P11KitConnection state-none", "ServerNotFound")]
    [InlineData("Get-P11KitServer -Log 0", "ParameterArgumentValidationError")]
    public void What_is_not_there_is_an_error(string command, string errorId)
    {
        var error = sandbox.HsmRemote($$"""try { {{command}} -ErrorAction Stop } catch { $_.FullyQualifiedErrorId }""").SucceededWithOne();
        Assert.StartsWith($"{errorId},", error.GetString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Who_is_not_root_is_told_so()
    {
        foreach (var command in new[] { "Start-P11KitServer x", "Stop-P11KitServer x", "Restart-P11KitServer x" })
        {
            var result = sandbox.Run("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", SandboxFixture.ShellPath, "-NoProfile", "-Command", command);
            Assert.Equal(1, result.ExitCode);
            Assert.Contains("needs root; nothing has been changed", result.StdErr, StringComparison.Ordinal);
        }
    }

    /// <summary>Holds a connection open until it is ended from the other side; gives the process that does.</summary>
    int Hold(string name, string path, string identity = "")
    {
        sandbox.Shell($"systemd-run --quiet --unit={name} {identity} socat UNIX-CONNECT:{path} PIPE").Succeeded();
        sandbox.WaitFor($"test $(systemctl show -P NConnections $(basename $(dirname {path})).socket) -gt 0");
        return int.Parse(sandbox.Run("systemctl", "show", "-P", "MainPID", name).Succeeded(), System.Globalization.CultureInfo.InvariantCulture);
    }

    JsonElement Server(string name) => sandbox.HsmRemote($"Get-P11KitServer {name}").SucceededWithOne();

    static bool Changed(JsonElement result) => result.GetProperty("Changed").GetBoolean();

    static string[] Descriptions(JsonElement result) => [.. result.GetProperty("Changes").EnumerateArray().Select(c => Text(c, "Description"))];

    static uint Number(JsonElement element, string property) => element.GetProperty(property).GetUInt32();

    static string Text(JsonElement element, string property) => element.GetProperty(property).GetString()!;
}
