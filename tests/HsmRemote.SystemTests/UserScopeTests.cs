using System.Text.Json;

namespace HsmRemote.SystemTests;

/// <summary>-Scope User: instances of a user's own systemd, without root.</summary>
[Collection(nameof(Distributions))]
public sealed class UserScopeTests(Distributions distributions)
{
    const string Token = """
        mkdir -p ~/.config/softhsm2 ~/tokens; chmod 0775 ~/tokens
        echo "directories.tokendir = $HOME/tokens" >~/.config/softhsm2/softhsm2.conf
        softhsm2-util --init-token --free --label own --pin 123456 --so-pin 87654321 >/dev/null
        """;

    [Theory]
    [InlineData(Distributions.Debian12)]
    [InlineData(Distributions.Debian13)]
    public void A_user_has_an_instance_of_their_own_in_every_mode_and_nothing_of_it_stays(string distribution)
    {
        var sandbox = distributions[distribution];
        sandbox.Shell("useradd --create-home --uid 4100 own-user; systemctl start user@4100.service").Succeeded();
        As(sandbox, "bash", "-euc", Token).Succeeded();
        var before = Files(sandbox);
        foreach (var mode in new[] { "PerConnection", "Acceptor", "Daemon" })
        {
            var output = HsmRemote(sandbox, $"""
                Install-P11KitServer own-server -Scope User -Mode {mode} -TargetUri pkcs11:token=own
                Install-P11KitServer own-server
                Get-P11KitServer own-*
                Get-P11KitServer own-server | Test-P11Socket
                """);
            Assert.True(output[0].GetProperty("Changed").GetBoolean());
            Assert.False(output[1].GetProperty("Changed").GetBoolean(), output[1].ToString());
            Assert.Equal(["Listening", mode, "User", "/run/user/4100/own-server/pkcs11", "0600"],
                new[] { "State", "Mode", "Scope", "SocketPath", "SocketMode" }.Select(p => output[2].GetProperty(p).GetString()));
            Assert.True(output[3].GetProperty("Succeeded").GetBoolean(), output[3].ToString());
            Assert.Equal("600 own-user", sandbox.Run("stat", "-c", "%a %U", "/run/user/4100/own-server/pkcs11").Succeeded());
            var unit = mode is "PerConnection" ? "own-server@1.service" : "own-server.service";
            var exposure = As(sandbox, "env", "XDG_RUNTIME_DIR=/run/user/4100", "systemd-analyze", "--user", "security", "--no-pager", unit).Succeeded();
            var level = double.Parse(exposure.Split('\n')[^1].Split(": ")[1].Split(' ')[0], System.Globalization.CultureInfo.InvariantCulture);
            Assert.True(level <= 1.5, exposure);
        }

        var log = HsmRemote(sandbox, "Get-P11KitServer own-server -Log 200");
        Assert.Contains(log, entry => entry.GetProperty("Unit").GetString() is "own-server.service");
        Assert.All(log, entry => Assert.StartsWith("own-server", entry.GetProperty("Unit").GetString(), StringComparison.Ordinal));
        Assert.Equal("NoTarget", HsmRemote(sandbox, "Set-P11TargetUri own-server -Uri @(); Test-P11Socket own-server")[1].GetProperty("Cause").GetString());
        // Directories that were made for a socket go with it.
        foreach (var path in new[] { "/run/user/4100/own-a/b/c/pkcs11", "/run/user/4100/own-server/pkcs11" })
        {
            HsmRemote(sandbox, $"Install-P11KitServer own-server -SocketPath {path}");
            Assert.Equal(path, sandbox.Shell("find /run/user/4100/own-* ! -type d").Succeeded());
            Assert.Equal(Path.GetDirectoryName(path), sandbox.Shell("find /run/user/4100/own-* -type d | tail -n 1").Succeeded());
        }

        HsmRemote(sandbox, "Uninstall-P11KitServer own-server");
        Assert.Equal(before, Files(sandbox));
    }

    [Fact]
    public void What_a_user_has_prepared_is_used_and_stays_and_advice_is_for_their_own_systemd()
    {
        var sandbox = distributions[Distributions.Debian13];
        sandbox.Shell("useradd --create-home --uid 4103 own-kept; systemctl start user@4103.service").Succeeded();
        sandbox.WriteFile("/usr/lib/systemd/user/own-foreign.service", "[Service]\nRuntimeDirectory=own-foreign\nExecStart=/usr/bin/p11-kit server --foreground --name %t/own-foreign/pkcs11 pkcs11:token=a\n");
        sandbox.Run("setpriv", "--reuid=4103", "--regid=4103", "--init-groups", "env", "XDG_RUNTIME_DIR=/run/user/4103", "systemctl", "--user", "daemon-reload").Succeeded();

        // No directory of units is there yet.
        HsmRemote(sandbox, "4103", "/home/own-kept", "Set-P11TargetUri own-foreign pkcs11:token=b -Force -Scope User");
        Assert.Contains("token=b", sandbox.Shell("cat /home/own-kept/.config/systemd/user/own-foreign.service.d/*").Succeeded(), StringComparison.Ordinal);

        // A link to where the user keeps their configuration.
        sandbox.Shell("cd /home/own-kept; rm -r .config; mkdir -p .config/systemd kept; ln -s /home/own-kept/kept .config/systemd/user; chown -hR own-kept .config kept").Succeeded();
        var test = HsmRemote(sandbox, "4103", "/home/own-kept", """
            $null = Install-P11KitServer own-linked -Scope User
            $null = Stop-P11KitServer own-linked
            Test-P11Socket own-linked
            $null = Uninstall-P11KitServer own-linked
            """)[0];
        Assert.Contains("`systemctl --user start own-linked.socket`", test.GetProperty("Remedy").GetString(), StringComparison.Ordinal);
        Assert.Equal("/home/own-kept/kept", sandbox.Shell("readlink /home/own-kept/.config/systemd/user; ls -A /home/own-kept/kept").Succeeded());
    }

    [Fact]
    public void Root_moves_an_instance_from_the_machine_to_itself_and_back()
    {
        var sandbox = distributions[Distributions.Debian13];
        sandbox.Shell("systemctl start user@0.service").Succeeded();
        var before = HostState.Of(sandbox);
        sandbox.HsmRemote("Install-P11KitServer own-moved -Mode Acceptor -Group own-moved -TargetUri pkcs11:token=moved").SucceededWithOne();
        var there = sandbox.HsmRemote("Install-P11KitServer own-moved -Scope User; Get-P11KitServer own-moved").Succeeded();
        Assert.Equal(2, there.Length);
        Assert.Equal("User Acceptor pkcs11:token=moved", $"{there[1].GetProperty("Scope")} {there[1].GetProperty("Mode")} {there[1].GetProperty("TargetUri")[0]}");
        Assert.NotEqual(0, sandbox.Shell("ls -d /etc/own-moved /run/own-moved || getent group own-moved").ExitCode);

        var back = sandbox.HsmRemote("Install-P11KitServer own-moved -Scope System; Get-P11KitServer own-moved; Uninstall-P11KitServer own-moved").Succeeded();
        Assert.Equal("System Acceptor", $"{back[1].GetProperty("Scope")} {back[1].GetProperty("Mode")}");
        HostState.IsAsBefore(before, sandbox);
    }

    [Fact]
    public void Of_two_with_one_name_the_one_that_is_piped_is_the_one_that_is_meant()
    {
        var sandbox = distributions[Distributions.Debian13];
        sandbox.Shell("useradd --create-home --uid 4102 own-two; systemctl start user@4102.service").Succeeded();
        sandbox.HsmRemote("Install-P11KitServer own-two -TargetUri pkcs11:token=machine").SucceededWithOne();

        var output = HsmRemote(sandbox, "4102", "/home/own-two", """
            [void] (Install-P11KitServer own-two -Scope User -TargetUri pkcs11:token=own)
            [void] (Install-P11KitServer own-copy -Scope User)
            (Get-P11KitServer own-two -Scope User | Set-P11TargetUri -Uri pkcs11:token=more -Add -Force).Changed
            (Get-P11KitServer own-two -Scope User | Install-P11KitServer -MaxConnections 7).Changed
            (Get-P11TargetUri own-two -Scope User | Set-P11TargetUri -Force).Changed
            Get-P11TargetUri own-tw* | Set-P11TargetUri -Force -WhatIf | ForEach-Object { "$($_.Changed): $($_.Uri)" }
            # Whose the target is that is copied says nothing of whose the copy is.
            (Get-P11TargetUri own-two -Scope System | Set-P11TargetUri own-copy -Force).Uri.ForEach('ToString')
            """);
        Assert.Equal(
            ["True", "True", "False", "False: pkcs11:token=machine", "False: pkcs11:token=own pkcs11:token=more", "pkcs11:token=machine"],
            output.Select(one => one.ToString()));
        sandbox.HsmRemote("Uninstall-P11KitServer own-two -Scope System").SucceededWithOne();
    }

    [Fact]
    public void What_was_asked_for_goes_along_to_another_scope()
    {
        var sandbox = distributions[Distributions.Debian13];
        sandbox.Shell("systemctl start user@0.service").Succeeded();
        var servers = sandbox.HsmRemote("""
            $null = Install-P11KitServer own-asked -MaxConnections 9 -MaxConnectionsPerSource 3 -SocketMode 0666 -Scope System
            foreach ($scope in 'User', 'System') { $null = Install-P11KitServer own-asked -Scope $scope; Get-P11KitServer own-asked }
            """).Succeeded();
        Assert.Equal(
            ["User 9 3 0666", "System 9 3 0666"],
            servers.Select(s => $"{s.GetProperty("Scope")} {s.GetProperty("MaxConnections")} {s.GetProperty("MaxConnectionsPerSource")} {s.GetProperty("SocketMode")}"));
        sandbox.HsmRemote("Uninstall-P11KitServer own-asked").SucceededWithOne();
    }

    [Theory]
    [InlineData("Install-P11KitServer own-bad -Scope User -Group root", "GroupNotForUser")]
    [InlineData("Install-P11KitServer own-bad", "RootRequired")]
    [InlineData("Install-P11KitServer own-bad -Scope System", "RootRequired")]
    public void What_a_user_cannot_have_is_refused(string command, string errorId)
    {
        var sandbox = distributions[Distributions.Debian12];
        sandbox.Shell("id own-bad 2>/dev/null || useradd --create-home --uid 4101 own-bad; systemctl start user@4101.service").Succeeded();
        Assert.Equal(errorId, ErrorId(sandbox, "4101", "/home/own-bad", command));
    }

    [Fact]
    public void Without_a_systemd_of_the_users_own_the_error_says_how_to_have_one()
    {
        var sandbox = distributions[Distributions.Debian12];
        Assert.Equal("UserManagerUnavailable", ErrorId(sandbox, "2", "/bin", "Install-P11KitServer own-none -Scope User"));
    }

    static string ErrorId(SandboxFixture sandbox, string user, string home, string command)
    {
        var script = $$"""try { {{command}} -ErrorAction Stop } catch { ($_.FullyQualifiedErrorId -split ',')[0] }""";
        return sandbox.Run(
            "setpriv", $"--reuid={user}", $"--regid={user}", "--clear-groups", "env", $"HOME={home}", SandboxFixture.ShellPath, "-NoProfile", "-Command", script).Succeeded();
    }

    static string Files(SandboxFixture sandbox) =>
        sandbox.Look("find /home/own-user/.config /run/user/4100 -printf '%p %y %m %u\n' | LC_ALL=C sort");

    static CommandResult As(SandboxFixture sandbox, params string[] command) => As(sandbox, "4100", "/home/own-user", command);

    static CommandResult As(SandboxFixture sandbox, string user, string home, string[] command) =>
        sandbox.Run("setpriv", [$"--reuid={user}", $"--regid={user}", "--init-groups", "env", $"HOME={home}", .. command]);

    static JsonElement[] HsmRemote(SandboxFixture sandbox, string command) => HsmRemote(sandbox, "4100", "/home/own-user", command);

    static JsonElement[] HsmRemote(SandboxFixture sandbox, string user, string home, string command)
    {
        var result = As(sandbox, user, home, [SandboxFixture.ShellPath, "-NoProfile", "-NonInteractive", "-OutputFormat", "Json", "-Command", $"{SandboxFixture.Patience}{command}"]);
        using var document = JsonDocument.Parse(result.Succeeded());
        return [.. document.RootElement.Clone().EnumerateArray()];
    }
}
