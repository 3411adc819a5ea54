using System.Text.Json;

namespace HsmRemote.SystemTests;

/// <summary>Every mode on every distribution, from Install-P11KitServer to Uninstall-P11KitServer.</summary>
[Collection(nameof(Distributions))]
public sealed class ModeTests(Distributions distributions)
{
    const string Client = "/usr/lib/x86_64-linux-gnu/pkcs11/p11-kit-client.so";
    const uint GroupId = 7100;

    public static TheoryData<string, string> Modes => new(
        from distribution in new[] { Distributions.Debian12, Distributions.Debian13 }
        from mode in new[] { "PerConnection", "Acceptor", "Daemon" }
        select (distribution, mode));

    [Theory]
    [MemberData(nameof(Modes))]
    public void A_mode_serves_whom_it_should_survives_a_restart_takes_a_new_target_and_leaves_no_trace(string distribution, string mode)
    {
        var sandbox = distributions[distribution];
        var name = $"mode-{mode.ToLowerInvariant()}";
        var one = sandbox.CreateToken($"{name} one");
        var two = sandbox.CreateToken($"{name} two");
        var before = HostState.Of(sandbox);

        var result = sandbox.HsmRemote(
            $"Install-P11KitServer {name} -Mode {mode} -Group {name} -GroupId {GroupId} -TargetUri '{one.Uri}'; Install-P11KitServer {name}; Get-P11KitServer {name}").Succeeded();
        Assert.True(result[0].GetProperty("Changed").GetBoolean());
        Assert.False(result[1].GetProperty("Changed").GetBoolean(), result[1].ToString());
        var server = result[2];
        Assert.Equal(["Listening", mode, "System", $"/run/{name}/pkcs11", "0660", name],
            new[] { "State", "Mode", "Scope", "SocketPath", "SocketMode", "Group" }.Select(p => Text(server, p)));
        Assert.Equal($"660 root {name} socket", sandbox.Run("stat", "-c", "%a %U %G %F", $"/run/{name}/pkcs11").Succeeded());
        AssertServes(sandbox, name, one);

        // A container that has mounted the directory goes on.
        var directory = sandbox.Run("stat", "-c", "%i %a", $"/run/{name}").Succeeded();
        sandbox.Run("systemctl", "restart", Text(server, "Unit")).Succeeded();
        Assert.Equal(directory, sandbox.Run("stat", "-c", "%i %a", $"/run/{name}").Succeeded());
        AssertServes(sandbox, name, one);

        sandbox.HsmRemote($"Set-P11TargetUri {name} '{two.Uri}'").SucceededWithOne();
        AssertServes(sandbox, name, two);
        // No target is no error: the socket is there, and nothing behind it.
        var none = sandbox.HsmRemote($"Set-P11TargetUri {name} -Uri @(); Test-P11Socket {name}").Succeeded();
        Assert.Equal("NoTarget", Text(none[1], "Cause"));

        sandbox.HsmRemote($"Uninstall-P11KitServer {name}").SucceededWithOne();
        HostState.IsAsBefore(before, sandbox);
    }

    [Theory]
    [InlineData(Distributions.Debian12)]
    [InlineData(Distributions.Debian13)]
    public void Switching_the_mode_the_path_and_the_group_converges_and_nothing_of_the_old_form_stays(string distribution)
    {
        var sandbox = distributions[distribution];
        var token = sandbox.CreateToken("mode switch");
        var before = HostState.Of(sandbox);
        sandbox.HsmRemote($"Install-P11KitServer mode-switch -Group mode-switch -GroupId {GroupId} -TargetUri '{token.Uri}'").SucceededWithOne();
        // A connection of the old form ends with it.
        sandbox.Connect("mode-switch");
        foreach (var (mode, units) in new[]
        {
            ("Acceptor", "mode-switch.service mode-switch.socket"), ("Daemon", "mode-switch.service"), ("PerConnection", "mode-switch.socket mode-switch@.service"),
            ("Daemon", "mode-switch.service"), ("Acceptor", "mode-switch.service mode-switch.socket"), ("PerConnection", "mode-switch.socket mode-switch@.service"),
        })
        {
            var result = sandbox.HsmRemote($"Install-P11KitServer mode-switch -Mode {mode}; Install-P11KitServer mode-switch").Succeeded();
            Assert.True(result[0].GetProperty("Changed").GetBoolean());
            Assert.False(result[1].GetProperty("Changed").GetBoolean(), result[1].ToString());
            var listener = units is "mode-switch.service" ? units : "mode-switch.socket";
            Assert.Equal(
                $"{units}\n{listener}",
                sandbox.Shell("""
                    ls /etc/systemd/system | grep mode-switch | LC_ALL=C sort | xargs
                    ls /etc/systemd/system/*.wants | grep mode-switch
                    systemctl list-units --plain --no-legend 'mode-switch@*'
                    """).Succeeded());
            Assert.Contains(token.Label, List(sandbox, "mode-switch", "--reuid=5000", "--regid=5000", $"--groups={GroupId}").StdOut, StringComparison.Ordinal);
        }

        sandbox.HsmRemote("Install-P11KitServer mode-switch -Mode Daemon -SocketPath /run/mode-switched/p11 -Group root").SucceededWithOne();
        Assert.Equal("660 root root", sandbox.Run("stat", "-c", "%a %U %G", "/run/mode-switched/p11").Succeeded());
        Assert.NotEqual(0, sandbox.Shell("ls -d /run/mode-switch || getent group mode-switch").ExitCode);
        sandbox.HsmRemote("Uninstall-P11KitServer mode-switch").SucceededWithOne();
        HostState.IsAsBefore(before, sandbox);
    }

    [Theory]
    [InlineData(Distributions.Debian12)]
    [InlineData(Distributions.Debian13)]
    public void A_daemon_with_a_peer_group_takes_the_primary_group_only_and_says_so(string distribution)
    {
        var sandbox = distributions[distribution];
        var token = sandbox.CreateToken("mode peer");
        sandbox.Run("groupadd", "--gid", "7200", "mode-peers").Succeeded();
        var result = sandbox.HsmRemote(
            $"Install-P11KitServer mode-peer -Mode Daemon -SocketMode 0666 -PeerGroup mode-peers -TargetUri '{token.Uri}' -Confirm:$false; Get-P11KitServer mode-peer");
        Assert.Equal("mode-peers", Text(result.Succeeded()[1], "PeerGroup"));
        Assert.Contains("whose primary group is mode-peers can connect. Root cannot", result.StdErr, StringComparison.Ordinal);
        Assert.Equal("666 root root", sandbox.Run("stat", "-c", "%a %U %G", "/run/mode-peer/pkcs11").Succeeded());
        Assert.Contains(token.Label, List(sandbox, "mode-peer", "--reuid=5000", "--regid=7200", "--clear-groups").StdOut, StringComparison.Ordinal);
        Assert.DoesNotContain(token.Label, List(sandbox, "mode-peer", "--reuid=5000", "--regid=5000", "--groups=7200").StdOut, StringComparison.Ordinal);
        Assert.DoesNotContain(token.Label, List(sandbox, "mode-peer", "--reuid=0").StdOut, StringComparison.Ordinal);

        Assert.Equal(JsonValueKind.Null, sandbox.HsmRemote("Install-P11KitServer mode-peer -PeerGroup ''; Get-P11KitServer mode-peer").Succeeded()[1].GetProperty("PeerGroup").ValueKind);
        Assert.Contains(token.Label, List(sandbox, "mode-peer", "--reuid=0").StdOut, StringComparison.Ordinal);
        sandbox.HsmRemote("Uninstall-P11KitServer mode-peer").SucceededWithOne();
    }

    [Theory]
    [InlineData(Distributions.Debian12)]
    [InlineData(Distributions.Debian13)]
    public void A_daemon_under_an_account_of_its_own_gives_the_socket_to_the_group_without_root(string distribution)
    {
        const string Store = "SOFTHSM2_CONF = '/srv/mode-own/softhsm2.conf'";
        var sandbox = distributions[distribution];
        sandbox.WriteFile("/srv/mode-own/softhsm2.conf", "directories.tokendir = /srv/mode-own/tokens\n");
        sandbox.Shell("""
            useradd --system --user-group mode-own; groupadd --gid 7300 mode-own-users; mkdir -m 700 /srv/mode-own/tokens; chown mode-own /srv/mode-own/tokens; (umask 077; echo 123456 >/root/mode-own-pin)
            own() { setpriv --reuid=mode-own --regid=mode-own --clear-groups env SOFTHSM2_CONF=/srv/mode-own/softhsm2.conf "$@"; }
            own softhsm2-util --init-token --free --label mode-own --pin 123456 --so-pin 87654321
            own pkcs11-tool --module /usr/lib/softhsm/libsofthsm2.so --token-label mode-own --login --pin 123456 --keypairgen --key-type EC:prime256v1 --label key --id 01
            """).Succeeded();
        var before = HostState.Of(sandbox);

        sandbox.HsmRemote($"Install-P11KitServer mode-own -Mode Daemon -ServiceUser mode-own -Group mode-own-users -TargetUri pkcs11:token=mode-own -Environment @{{ {Store} }}").SucceededWithOne();
        Assert.Equal("660 mode-own mode-own-users socket", sandbox.Run("stat", "-c", "%a %U %G %F", "/run/mode-own/pkcs11").Succeeded());
        Assert.NotEqual(0, sandbox.Run("grep", "-E", "^Exec[A-Za-z]*=[@:+!-]", "/etc/systemd/system/mode-own.service").ExitCode);
        var test = sandbox.HsmRemote("Test-P11Socket mode-own -Uid 5000 -Gid 7300 -PinPath /root/mode-own-pin").SucceededWithOne();
        Assert.True(test.GetProperty("Succeeded").GetBoolean(), test.ToString());
        Assert.Equal("NotWritable", Text(sandbox.HsmRemote("Test-P11Socket mode-own -Uid 5000 -Gid 5000").SucceededWithOne(), "Cause"));

        // The account is not put into root's group: without a group the socket is closed to all but itself and root.
        var none = sandbox.HsmRemote("Install-P11KitServer mode-own -Group root; Install-P11KitServer mode-own; Get-P11KitServer mode-own").Succeeded();
        Assert.False(none[1].GetProperty("Changed").GetBoolean(), none[1].ToString());
        Assert.Equal("0600 mode-own mode-own", $"{Text(none[2], "SocketMode")} {Text(none[2], "SocketUser")} {Text(none[2], "Group")}");
        Assert.Equal("600 mode-own mode-own", sandbox.Run("stat", "-c", "%a %U %G", "/run/mode-own/pkcs11").Succeeded());

        // systemd's socket is root's again, in a directory of root's.
        sandbox.HsmRemote("Install-P11KitServer mode-own -Mode PerConnection -Group mode-own-users -SocketMode 0660").SucceededWithOne();
        Assert.Equal("755 root root\n660 root mode-own-users", sandbox.Run("stat", "-c", "%a %U %G", "/run/mode-own", "/run/mode-own/pkcs11").Succeeded());
        sandbox.HsmRemote("Uninstall-P11KitServer mode-own").SucceededWithOne();
        HostState.IsAsBefore(before, sandbox);
    }

    [Theory]
    [InlineData(Distributions.Debian12)]
    [InlineData(Distributions.Debian13)]
    public void A_directory_that_is_somebody_elses_is_not_taken_for_a_daemons_socket(string distribution)
    {
        var sandbox = distributions[distribution];
        sandbox.Shell("mkdir -p /run/mode-app/sub; touch /run/mode-app/file /run/mode-app/sub/file; chown -R daemon:daemon /run/mode-app; chmod 2750 /run/mode-app").Succeeded();
        var before = HostState.Of(sandbox);
        Refused();
        // Nor one of root's with something else in it, in the hands of an account.
        sandbox.Shell("chown -R root:root /run/mode-app").Succeeded();
        Refused(" -ServiceUser daemon");
        sandbox.Shell("chown -R daemon:daemon /run/mode-app; chmod 2750 /run/mode-app").Succeeded();
        HostState.IsAsBefore(before, sandbox);
        // One that systemd makes a socket in is left to its owner.
        sandbox.HsmRemote("Install-P11KitServer mode-dir -SocketPath /run/mode-app/pkcs11").SucceededWithOne();
        Refused();
        Assert.Equal("2750 daemon", sandbox.Run("stat", "-c", "%a %U", "/run/mode-app").Succeeded());
        sandbox.HsmRemote("Uninstall-P11KitServer mode-dir").SucceededWithOne();
        HostState.IsAsBefore(before, sandbox);
        sandbox.Run("rm", "-r", "/run/mode-app").Succeeded();

        void Refused(string more = "")
        {
            var result = sandbox.HsmRemote($$"""try { Install-P11KitServer mode-dir -Mode Daemon -SocketPath /run/mode-app/pkcs11{{more}} -ErrorAction Stop } catch { ($_.FullyQualifiedErrorId -split ',')[0] }""");
            Assert.Equal("SocketDirectoryTaken", result.SucceededWithOne().GetString());
        }
    }

    [Theory]
    [InlineData(Distributions.Debian12)]
    [InlineData(Distributions.Debian13)]
    public void Connections_are_limited_and_by_user_where_systemd_can(string distribution)
    {
        var sandbox = distributions[distribution];
        var perUser = distribution is Distributions.Debian13;
        var result = sandbox.HsmRemote("Install-P11KitServer mode-limit -MaxConnections 4 -MaxConnectionsPerSource 2; Install-P11KitServer mode-limit; Get-P11KitServer mode-limit");
        Assert.False(result.Succeeded()[1].GetProperty("Changed").GetBoolean());
        Assert.Equal("4 2", $"{result.Output[2].GetProperty("MaxConnections")} {result.Output[2].GetProperty("MaxConnectionsPerSource")}");
        Assert.Equal(!perUser, result.StdErr.Contains("does not heed -MaxConnectionsPerSource", StringComparison.Ordinal));
        // What runs for a connection, and stays as long as it does.
        sandbox.WriteFile("/etc/systemd/system/mode-limit@.service.d/stay.conf", "[Service]\nExecStart=\nExecStart=/bin/cat\n");
        sandbox.Shell("""
            systemctl daemon-reload
            for i in 1 2 3 4 5 6; do systemd-run --quiet --collect socat UNIX-CONNECT:/run/mode-limit/pkcs11 PIPE; done
            """).Succeeded();
        sandbox.WaitFor($"[ \"$(systemctl show -P NAccepted -P NRefused mode-limit.socket | xargs)\" = '{(perUser ? "2 4" : "4 2")}' ]");
        sandbox.HsmRemote("Uninstall-P11KitServer mode-limit").SucceededWithOne();
    }

    static void AssertServes(SandboxFixture sandbox, string name, SoftHsmToken token)
    {
        foreach (var identity in new[] { new[] { "--reuid=5000", "--regid=5000", $"--groups={GroupId}" }, ["--reuid=0"] })
        {
            var seen = List(sandbox, name, identity);
            Assert.Equal([token.Label], seen.StdOut.Split('\n').Where(line => line.Contains("Label:", StringComparison.Ordinal)).Select(line => line.Split(": ")[1]));
        }

        Assert.DoesNotContain("Label:", List(sandbox, name, "--reuid=5000", "--regid=5000", "--clear-groups").StdOut, StringComparison.Ordinal);
    }

    static CommandResult List(SandboxFixture sandbox, string name, params string[] identity) => sandbox.Run(
        "setpriv", [.. identity, "env", $"P11_KIT_SERVER_ADDRESS=unix:path=/run/{name}/pkcs11", "timeout", "120", "p11tool", "--provider", Client, "--list-tokens"]);

    static string Text(JsonElement element, string property) => element.GetProperty(property).GetString()!;
}
