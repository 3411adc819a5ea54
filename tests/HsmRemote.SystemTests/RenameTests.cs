using System.Text.Json;

namespace HsmRemote.SystemTests;

/// <summary>An instance gets another name, and is otherwise what it was.</summary>
[Collection(nameof(Distributions))]
public sealed class RenameTests(Distributions distributions)
{
    const uint GroupId = 7450;

    public static TheoryData<string, string> Modes => ModeTests.Modes;

    [Theory]
    [MemberData(nameof(Modes))]
    public void All_that_an_instance_is_goes_along_and_nothing_of_the_old_name_stays(string distribution, string mode)
    {
        var sandbox = distributions[distribution];
        var token = sandbox.CreateToken($"rename {mode}");
        var listener = mode is "Daemon" ? "service" : "socket";
        var service = mode is "PerConnection" ? "@.service" : ".service";
        var before = HostState.Of(sandbox);
        sandbox.HsmRemote($$"""
            Install-P11KitServer ren-old -Mode {{mode}} -Group ren-users -GroupId {{GroupId}} -SocketMode 0600 -TargetUri '{{token.Uri}}' -AllowPath /srv/ren-store -Environment @{ REN_STORE = '/srv/ren-store' } {{(mode is "PerConnection" ? "-MaxConnections 7" : "")}}
            """).SucceededWithOne();
        sandbox.Shell("echo REN_PIN=1234 >>/etc/ren-old/config.env; chmod 600 /etc/ren-old/config.env").Succeeded();
        sandbox.WriteFile($"/etc/systemd/system/ren-old{service}.d/10-nice.conf", "[Service]\n# of ren-old\nNice=5\n");
        sandbox.Shell("systemctl daemon-reload").Succeeded();
        // The acceptor passes its new variable on.
        sandbox.HsmRemote("Install-P11KitServer ren-old").SucceededWithOne();
        var was = Settings(sandbox.HsmRemote("Get-P11KitServer ren-old").SucceededWithOne());

        var predicted = sandbox.HsmRemote("Install-P11KitServer ren-new -FormerName ren-old -WhatIf").SucceededWithOne();
        var run = sandbox.HsmRemote("Install-P11KitServer ren-new -FormerName ren-old");
        var renamed = run.SucceededWithOne();
        Assert.Equal(predicted.GetProperty("Changes").ToString(), renamed.GetProperty("Changes").ToString());
        Assert.True(renamed.GetProperty("Changed").GetBoolean());
        Assert.Contains($"names 'ren-old': see whether /etc/systemd/system/ren-new{service}.d/10-nice.conf is still right", run.UnfoldedStdErr, StringComparison.Ordinal);
        var after = sandbox.HsmRemote("""
            Install-P11KitServer ren-new -FormerName ren-old
            Install-P11KitServer ren-new
            Get-P11KitServer ren-new
            (Get-P11KitServer ren-new).SocketPath
            (Get-P11KitServer ren-new).Drift.Count
            """).Succeeded();
        Assert.False(after[0].GetProperty("Changed").GetBoolean(), after[0].ToString());
        Assert.False(after[1].GetProperty("Changed").GetBoolean(), after[1].ToString());
        Assert.Equal(was, Settings(after[2]));
        Assert.Equal("/run/ren-new/pkcs11", after[3].GetString());
        Assert.Equal(0, after[4].GetInt32());

        // Nothing is left of the old name but in the words of who wrote the drop-in.
        Assert.Equal("", sandbox.Look("""
            find /etc /run -xdev -name '*ren-old*' ! -path '/run/systemd/propagate*' ! -path '/run/systemd/units*' ! -path '/run/log/*'
            systemctl list-units --all --plain --no-legend '*ren-old*'; systemctl list-unit-files --plain --no-legend '*ren-old*' || true
            grep -rl ren-old /etc/systemd/system /etc/ren-new | grep -v 10-nice.conf || true
            """));
        Assert.Equal($"ren-users:x:{GroupId}:", sandbox.Run("getent", "group", "ren-users").Succeeded());
        Assert.Equal("600 root\nREN_PIN=1234", sandbox.Shell("stat -c '%a %U' /etc/ren-new/config.env; tail -n 1 /etc/ren-new/config.env").Succeeded());
        Assert.Equal("5", sandbox.Run("systemctl", "show", "-P", "Nice", $"ren-new{service.Replace("@.", "@x.", StringComparison.Ordinal)}").Succeeded());
        Assert.Contains("REN_STORE=/srv/ren-store", sandbox.Run("systemctl", "show", "-P", "Environment", $"ren-new{service.Replace("@.", "@x.", StringComparison.Ordinal)}").Succeeded(), StringComparison.Ordinal);
        Assert.Equal("active", sandbox.Run("systemctl", "is-active", $"ren-new.{listener}").Succeeded());
        Assert.Contains(token.Label, Listed(sandbox, "/run/ren-new/pkcs11"), StringComparison.Ordinal);

        sandbox.HsmRemote("Uninstall-P11KitServer ren-new").SucceededWithOne();
        HostState.IsAsBefore(before, sandbox);
    }

    [Theory]
    [InlineData(Distributions.Debian12, "PerConnection")]
    [InlineData(Distributions.Debian12, "Daemon")]
    [InlineData(Distributions.Debian13, "Acceptor")]
    public void A_socket_with_a_path_of_its_own_stays_where_it_is_and_so_does_its_directory(string distribution, string mode)
    {
        var sandbox = distributions[distribution];
        var token = sandbox.CreateToken($"rename path {mode}");
        var before = HostState.Of(sandbox);
        sandbox.HsmRemote($"Install-P11KitServer ren-path -Mode {mode} -SocketPath /run/ren-box/inner/p11 -TargetUri '{token.Uri}'").SucceededWithOne();
        var directory = sandbox.Run("stat", "-c", "%i", "/run/ren-box/inner").Succeeded();

        var result = sandbox.HsmRemote("Install-P11KitServer ren-way -FormerName ren-path; Install-P11KitServer ren-way; (Get-P11KitServer ren-way).SocketPath").Succeeded();
        Assert.False(result[1].GetProperty("Changed").GetBoolean(), result[1].ToString());
        Assert.Equal("/run/ren-box/inner/p11", result[2].GetString());
        // What a container has mounted.
        Assert.Equal(directory, sandbox.Run("stat", "-c", "%i", "/run/ren-box/inner").Succeeded());
        Assert.Contains(token.Label, Listed(sandbox, "/run/ren-box/inner/p11"), StringComparison.Ordinal);

        // What else is asked for is done with it: another mode, in the same directory.
        var other = mode is "Daemon" ? "PerConnection" : "Daemon";
        sandbox.HsmRemote($"Install-P11KitServer ren-path -FormerName ren-way -Mode {other} -TargetUri @()").SucceededWithOne();
        var changed = sandbox.HsmRemote("Install-P11KitServer ren-path; Get-P11KitServer").Succeeded();
        Assert.False(changed[0].GetProperty("Changed").GetBoolean(), changed[0].ToString());
        var server = Assert.Single(changed.Skip(1), s => s.GetProperty("Name").GetString()!.StartsWith("ren-", StringComparison.Ordinal));
        Assert.Equal($"ren-path {other} /run/ren-box/inner/p11 Listening", string.Join(' ', new[] { "Name", "Mode", "SocketPath", "State" }.Select(p => server.GetProperty(p).GetString())));
        Assert.Equal(0, server.GetProperty("TargetUri").GetArrayLength());

        sandbox.HsmRemote("Uninstall-P11KitServer ren-path").SucceededWithOne();
        HostState.IsAsBefore(before, sandbox);
    }

    [Fact]
    public void A_user_renames_an_instance_of_their_own()
    {
        var sandbox = distributions[Distributions.Debian13];
        sandbox.Shell("systemctl start user@0.service").Succeeded();
        var before = HostState.Of(sandbox);
        var files = Own(sandbox);
        sandbox.HsmRemote("Install-P11KitServer ren-mine -Scope User -TargetUri pkcs11:token=mine").SucceededWithOne();
        var result = sandbox.HsmRemote("Install-P11KitServer ren-own -FormerName ren-mine; Install-P11KitServer ren-own -FormerName ren-mine; Get-P11KitServer ren-*").Succeeded();
        Assert.Equal(3, result.Length);
        Assert.False(result[1].GetProperty("Changed").GetBoolean(), result[1].ToString());
        Assert.Equal("ren-own User pkcs11:token=mine /run/user/0/ren-own/pkcs11", $"{result[2].GetProperty("Name")} {result[2].GetProperty("Scope")} {result[2].GetProperty("TargetUri")[0]} {result[2].GetProperty("SocketPath")}");
        Assert.Equal("FormerNameInvalid", ErrorId(sandbox, "Install-P11KitServer ren-other -FormerName ren-own -Scope System"));
        sandbox.HsmRemote("Uninstall-P11KitServer ren-own").SucceededWithOne();
        Assert.Equal(files, Own(sandbox));
        HostState.IsAsBefore(before, sandbox);
    }

    [Fact]
    public void What_cannot_get_the_name_keeps_its_own()
    {
        var sandbox = distributions[Distributions.Debian12];
        sandbox.HsmRemote("Install-P11KitServer ren-first -Group ren-first -TargetUri pkcs11:token=first; Install-P11KitServer ren-second -TargetUri pkcs11:token=second").Succeeded();
        sandbox.WriteFile("/etc/systemd/system/ren-foreign.service", "[Service]\nExecStart=/usr/bin/p11-kit server -f -n /run/ren-foreign/p11 pkcs11:token=foreign\n");
        sandbox.WriteFile("/etc/systemd/system/ren-app.service", "[Service]\nExecStart=/bin/true\n");
        sandbox.Shell("systemctl daemon-reload").Succeeded();
        var before = HostState.Of(sandbox);
        foreach (var (command, errorId) in new[]
        {
            ("ren-second -FormerName ren-first", "NameInUse"),
            ("ren-app -FormerName ren-first", "NameInUse"),
            ("ren-first -FormerName ren-first", "FormerNameInvalid"),
            ("ren-third -FormerName ren-first -Adopt", "FormerNameInvalid"),
            ("ren-third -FormerName ren-foreign", "NotManaged"),
            ("ren-third -FormerName ../x", "NameInvalid"),
            ("ren-third -FormerName ren-first -SocketPath /run/ren-second/pkcs11", "SocketPathInvalid"),
        })
        {
            Assert.Equal(errorId, ErrorId(sandbox, $"Install-P11KitServer {command}"));
            HostState.IsAsBefore(before, sandbox);
        }

        // What was taken over comes back under its own name.
        sandbox.HsmRemote("Install-P11KitServer ren-foreign -Adopt").SucceededWithOne();
        Assert.Equal("FormerNameInvalid", ErrorId(sandbox, "Install-P11KitServer ren-third -FormerName ren-foreign"));
        sandbox.HsmRemote("Uninstall-P11KitServer ren-foreign, ren-first, ren-second").Succeeded();

        // A host that never had it gets a new one, as a playbook for many hosts wants it.
        var fresh = sandbox.HsmRemote("Install-P11KitServer ren-third -FormerName ren-first");
        Assert.True(fresh.SucceededWithOne().GetProperty("Changed").GetBoolean());
        Assert.Contains("There is no instance 'ren-first' that could be renamed: 'ren-third' is a new one.", fresh.UnfoldedStdErr, StringComparison.Ordinal);
        sandbox.HsmRemote("Uninstall-P11KitServer ren-third").SucceededWithOne();
        sandbox.Shell("rm /etc/systemd/system/ren-foreign.service /etc/systemd/system/ren-app.service; systemctl daemon-reload").Succeeded();
    }

    static string Settings(JsonElement server) => string.Join(
        ' ', new[] { "Mode", "Scope", "SocketMode", "Group", "GroupId", "MaxConnections", "TargetUri", "State", "Enabled" }.Select(name => server.GetProperty(name).ToString()));

    static string Own(SandboxFixture sandbox) => sandbox.Shell("find /root/.config /run/user/0 -xdev -name '*ren-*' 2>/dev/null || true; ls -A /root/.config 2>/dev/null || true").Succeeded();

    static string Listed(SandboxFixture sandbox, string socket) => sandbox.Run(
        "env", $"P11_KIT_SERVER_ADDRESS=unix:path={socket}", "timeout", "120", "p11tool", "--provider", ContainerHost.Client, "--list-tokens").Succeeded();

    static string ErrorId(SandboxFixture sandbox, string command) =>
        sandbox.HsmRemote($$"""try { {{command}} -ErrorAction Stop } catch { ($_.FullyQualifiedErrorId -split ',')[0] }""").SucceededWithOne().GetString()!;
}
