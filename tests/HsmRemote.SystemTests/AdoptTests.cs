using System.Text.Json;

namespace HsmRemote.SystemTests;

/// <summary>Install-P11KitServer -Adopt: what something else installed is taken over, and comes back.</summary>
[Collection(nameof(Distributions))]
public sealed class AdoptTests(Distributions distributions)
{
    readonly SandboxFixture sandbox = distributions[Distributions.Debian12];

    [Theory]
    [InlineData("")]
    [InlineData("-Mode PerConnection")]
    public void A_packages_units_are_overridden_and_come_back(string mode)
    {
        // As the package tedge-p11-kit-server has it.
        sandbox.Shell("getent group tedge || groupadd --system tedge").Succeeded();
        sandbox.WriteFile("/etc/tedge-p11-kit-server/config.env", "# The token\nTARGET_PKCS11_URI=pkcs11:token=tedge-token\n");
        sandbox.WriteFile("/usr/lib/systemd/system/tedge-p11-kit-server.socket", """
            [Socket]
            ListenStream=/run/tedge-p11-kit-server/pkcs11
            SocketUser=root
            SocketGroup=tedge
            SocketMode=0660
            [Install]
            WantedBy=sockets.target

            """);
        sandbox.WriteFile("/usr/lib/systemd/system/tedge-p11-kit-server.service", """
            [Service]
            EnvironmentFile=/etc/tedge-p11-kit-server/config.env
            ExecStart=/usr/bin/p11-kit server -f -n /run/tedge-p11-kit-server/pkcs11 $TARGET_PKCS11_URI
            [Install]
            WantedBy=multi-user.target

            """);
        sandbox.Shell("systemctl daemon-reload; systemctl enable --now tedge-p11-kit-server.socket").Succeeded();
        var before = HostState.Of(sandbox);

        var result = sandbox.HsmRemote($"Install-P11KitServer tedge-p11-kit-server -Adopt {mode}; Install-P11KitServer tedge-p11-kit-server; Get-P11KitServer tedge-p11-kit-server").Succeeded();
        Assert.False(result[1].GetProperty("Changed").GetBoolean(), result[1].ToString());
        var server = result[2];
        Assert.True(server.GetProperty("IsManaged").GetBoolean());
        Assert.Equal(["Listening", "/run/tedge-p11-kit-server/pkcs11", "tedge", "0660", mode.Length > 0 ? "PerConnection" : "Daemon"],
            new[] { "State", "SocketPath", "Group", "SocketMode", "Mode" }.Select(p => Text(server, p)));
        Assert.Equal("pkcs11:token=tedge-token", server.GetProperty("TargetUri")[0].GetString());
        Assert.Equal("660 root tedge", sandbox.Run("stat", "-c", "%a %U %G", "/run/tedge-p11-kit-server/pkcs11").Succeeded());

        sandbox.HsmRemote("Uninstall-P11KitServer tedge-p11-kit-server").SucceededWithOne();
        HostState.IsAsBefore(before, sandbox);
        sandbox.Shell("systemctl disable --now tedge-p11-kit-server.socket tedge-p11-kit-server.service; rm -r /usr/lib/systemd/system/tedge-p11-kit-server.* /etc/tedge-p11-kit-server; systemctl daemon-reload").Succeeded();
    }

    [Fact]
    public void A_hand_written_unit_is_kept_and_comes_back_running()
    {
        const string Unit = "[Service]\nRuntimeDirectory=p11-kit\nExecStart=/usr/bin/p11-kit server -f -n /run/p11-kit/pkcs11 -g daemon pkcs11:token=by-hand\n[Install]\nWantedBy=multi-user.target\n";
        sandbox.WriteFile("/etc/systemd/system/p11-kit-server.service", Unit, "0640");
        sandbox.Shell("systemctl daemon-reload; systemctl enable --now p11-kit-server.service").Succeeded();
        sandbox.WaitFor("test -S /run/p11-kit/pkcs11");
        var before = HostState.Of(sandbox);

        var refused = sandbox.HsmRemote("Install-P11KitServer p11-kit-server");
        Assert.Equal(1, refused.ExitCode);
        Assert.Contains("-Adopt takes it over", refused.StdErr, StringComparison.Ordinal);
        var server = sandbox.HsmRemote("Install-P11KitServer p11-kit-server -Adopt -Mode Acceptor -TargetUri pkcs11:token=by-hand; Get-P11KitServer p11-kit-server").Succeeded()[1];
        Assert.Equal("Listening Acceptor /run/p11-kit/pkcs11 daemon", $"{Text(server, "State")} {Text(server, "Mode")} {Text(server, "SocketPath")} {Text(server, "Group")}");

        sandbox.HsmRemote("Uninstall-P11KitServer p11-kit-server").SucceededWithOne();
        Assert.Equal(Unit.TrimEnd(), sandbox.Run("cat", "/etc/systemd/system/p11-kit-server.service").Succeeded());
        Assert.Equal("active", sandbox.Run("systemctl", "is-active", "p11-kit-server.service").Succeeded());
        sandbox.WaitFor("test -S /run/p11-kit/pkcs11");
        HostState.IsAsBefore(before, sandbox);
        sandbox.Shell("systemctl disable --now p11-kit-server.service; rm /etc/systemd/system/p11-kit-server.service; systemctl daemon-reload").Succeeded();
    }

    [Fact]
    public void A_drop_in_with_a_command_is_kept_out_of_the_way_and_comes_back()
    {
        sandbox.WriteFile("/etc/systemd/system/adopt-drop.service", "[Service]\nRuntimeDirectory=adopt-drop\nExecStart=/usr/bin/p11-kit server -f -n /run/adopt-drop/pkcs11 pkcs11:token=old\n");
        sandbox.WriteFile("/etc/systemd/system/adopt-drop.service.d/nice.conf", "[Service]\nNice=5\n");
        sandbox.Shell("systemctl daemon-reload; systemctl start adopt-drop.service").Succeeded();
        sandbox.HsmRemote("Set-P11TargetUri adopt-drop pkcs11:token=drop -Force").SucceededWithOne();
        sandbox.WaitFor("test -S /run/adopt-drop/pkcs11");
        var before = HostState.Of(sandbox);

        Assert.Equal("pkcs11:token=drop", Text(sandbox.HsmRemote("Install-P11KitServer adopt-drop -Adopt; Get-P11TargetUri adopt-drop").Succeeded()[1].GetProperty("Uri")[0]));
        Assert.Equal("pkcs11:token=new", Text(sandbox.HsmRemote("Install-P11KitServer adopt-drop -TargetUri pkcs11:token=new; Get-P11KitServer adopt-drop").Succeeded()[1].GetProperty("TargetUri")[0]));
        Assert.Equal("5", sandbox.Run("systemctl", "show", "-P", "Nice", "adopt-drop.service").Succeeded());
        foreach (var mode in new[] { "Acceptor", "PerConnection", "Daemon" })
        {
            var server = sandbox.HsmRemote($"Install-P11KitServer adopt-drop -Mode {mode}; Get-P11KitServer adopt-drop").Succeeded()[1];
            Assert.Equal($"{mode} pkcs11:token=new Listening", $"{Text(server, "Mode")} {server.GetProperty("TargetUri")[0]} {Text(server, "State")}");
        }

        sandbox.HsmRemote("Uninstall-P11KitServer adopt-drop").SucceededWithOne();
        sandbox.WaitFor("test -S /run/adopt-drop/pkcs11");
        HostState.IsAsBefore(before, sandbox);
        Assert.Equal("pkcs11:token=drop", Text(sandbox.HsmRemote("Get-P11TargetUri adopt-drop").SucceededWithOne().GetProperty("Uri")[0]));
        sandbox.Shell("systemctl stop adopt-drop.service; rm -r /etc/systemd/system/adopt-drop.service*; systemctl daemon-reload").Succeeded();
    }

    [Theory]
    [InlineData("")]
    [InlineData("-Mode PerConnection")]
    public void What_the_service_had_of_its_unit_it_has_afterwards(string mode)
    {
        sandbox.WriteFile("/srv/adopt-has/softhsm2.conf", "directories.tokendir = /srv/adopt-has/tokens\n");
        sandbox.WriteFile("/etc/default/adopt-has", "ADOPT_FILE=\"from the file\"\nADOPT_PIN=1234\n");
        sandbox.WriteFile("/etc/systemd/system/adopt-has.service", """
            [Service]
            User=adopt-has
            Group=adopt-has
            Environment=SOFTHSM2_CONF=/srv/adopt-has/softhsm2.conf
            EnvironmentFile=/etc/default/adopt-has
            RuntimeDirectory=adopt-has
            ProtectSystem=strict
            ReadWritePaths=/srv/adopt-has
            ExecStartPre=/bin/rm -f /run/adopt-has/pkcs11
            ExecStart=/usr/bin/p11-kit server -f -n /run/adopt-has/pkcs11 pkcs11:token=adopt-has

            """);
        sandbox.Shell("""
            useradd --system --user-group adopt-has; mkdir -m 700 /srv/adopt-has/tokens; chown adopt-has /srv/adopt-has/tokens
            setpriv --reuid=adopt-has --regid=adopt-has --clear-groups env SOFTHSM2_CONF=/srv/adopt-has/softhsm2.conf softhsm2-util --init-token --free --label adopt-has --pin 123456 --so-pin 87654321
            systemctl daemon-reload; systemctl start adopt-has.service
            """).Succeeded();
        sandbox.WaitFor("test -S /run/adopt-has/pkcs11");
        var before = HostState.Of(sandbox);

        var result = sandbox.HsmRemote($"Install-P11KitServer adopt-has -Adopt {mode}; Install-P11KitServer adopt-has; Get-P11KitServer adopt-has; Test-P11Socket adopt-has");
        var output = result.Succeeded();
        Assert.False(output[1].GetProperty("Changed").GetBoolean(), output[1].ToString());
        Assert.Equal("adopt-has adopt-has adopt-has", $"{Text(output[2], "ServiceUser")} {Text(output[2], "SocketUser")} {Text(output[2], "Group")}");
        Assert.Equal("adopt-has adopt-has", sandbox.Run("stat", "-c", "%U %G", "/run/adopt-has/pkcs11").Succeeded());
        Assert.Equal("{\"ADOPT_FILE\":\"from the file\",\"SOFTHSM2_CONF\":\"/srv/adopt-has/softhsm2.conf\"}", output[2].GetProperty("Environment").ToString());
        Assert.True(output[3].GetProperty("Succeeded").GetBoolean(), output[3].ToString());
        Assert.Contains("without its variable ADOPT_PIN.", result.UnfoldedStdErr, StringComparison.Ordinal);
        Assert.DoesNotContain("1234", result.StdErr, StringComparison.Ordinal);
        Assert.Contains("also say: ExecStartPre=, ReadWritePaths=. ", result.UnfoldedStdErr, StringComparison.Ordinal);

        sandbox.HsmRemote("Uninstall-P11KitServer adopt-has").SucceededWithOne();
        sandbox.WaitFor("test -S /run/adopt-has/pkcs11");
        HostState.IsAsBefore(before, sandbox);
        sandbox.Shell("systemctl stop adopt-has.service; rm -r /etc/systemd/system/adopt-has.service /etc/default/adopt-has /srv/adopt-has; systemctl daemon-reload; userdel adopt-has").Succeeded();
    }

    [Fact]
    public void The_socket_stays_its_owners()
    {
        sandbox.WriteFile("/etc/systemd/system/adopt-owner.socket", "[Socket]\nListenStream=/run/adopt-owner/pkcs11\nSocketUser=daemon\nSocketMode=0600\nAccept=yes\nDirectoryMode=0750\n");
        sandbox.WriteFile("/etc/systemd/system/adopt-owner@.service", "[Service]\nExecStart=/usr/bin/p11-kit remote pkcs11:token=owner\nStandardInput=socket\n");
        sandbox.Shell("systemctl daemon-reload; systemctl start adopt-owner.socket").Succeeded();
        var result = sandbox.HsmRemote("Install-P11KitServer adopt-owner -Adopt; Install-P11KitServer adopt-owner; Get-P11KitServer adopt-owner");
        Assert.False(result.Succeeded()[1].GetProperty("Changed").GetBoolean(), result.ToString());
        Assert.Equal("600 daemon root", sandbox.Run("stat", "-c", "%a %U %G", "/run/adopt-owner/pkcs11").Succeeded());
        Assert.Equal("daemon", Text(result.Output[2], "SocketUser"));
        Assert.Equal("[]", result.Output[2].GetProperty("Drift").ToString());
        Assert.Contains("also say: DirectoryMode=. ", result.UnfoldedStdErr, StringComparison.Ordinal);

        // A daemon makes its socket by itself, and cannot give it to another account.
        Assert.Equal("SocketUserNotInMode", ErrorId("Install-P11KitServer adopt-owner -Mode Daemon"));
        sandbox.Shell("systemctl is-active adopt-owner.socket").Succeeded();
        sandbox.HsmRemote("Uninstall-P11KitServer adopt-owner").SucceededWithOne();
        sandbox.Shell("systemctl stop adopt-owner.socket; rm /etc/systemd/system/adopt-owner*; systemctl daemon-reload").Succeeded();
    }

    [Theory]
    [InlineData("server -f -n /run/adopt-odd/pkcs11 --provider /usr/lib/softhsm/libsofthsm2.so pkcs11:token=x", "", "AdoptNotCarried")]
    [InlineData("server -f -n /run/adopt-odd/pkcs11 /usr/lib/softhsm/libsofthsm2.so", "", "AdoptNotCarried")]
    [InlineData("server -f -n /run/adopt-odd/pkcs11 pkcs11:token=x", "[Service]\nDynamicUser=yes\n", "AdoptNotCarried")]
    [InlineData("server -f -n /run/adopt-odd/pkcs11 pkcs11:token=x", "[Service]\nExecStart=\nExecStart=/usr/bin/p11-kit server -f -n /run/adopt-odd/pkcs11 pkcs11:token=y\n", "AdoptDropIn")]
    public void What_would_be_lost_with_more_exposed_is_refused_before_anything_is_changed(string command, string dropIn, string errorId)
    {
        sandbox.WriteFile("/etc/systemd/system/adopt-odd.service", $"[Service]\nRuntimeDirectory=adopt-odd\nExecStart=/usr/bin/p11-kit {command}\n");
        sandbox.WriteFile("/run/systemd/system/adopt-odd.service.d/odd.conf", dropIn);
        sandbox.Run("systemctl", "daemon-reload").Succeeded();
        var before = HostState.Of(sandbox);
        Assert.Equal(errorId, ErrorId("Install-P11KitServer adopt-odd -Adopt"));
        HostState.IsAsBefore(before, sandbox);
        sandbox.Shell("rm -r /etc/systemd/system/adopt-odd.service /run/systemd/system/adopt-odd.service.d; systemctl daemon-reload").Succeeded();
    }

    [Fact]
    public void What_cannot_be_taken_over_is_refused()
    {
        sandbox.WriteFile("/opt/adopt-link.service", "[Service]\nExecStart=/usr/bin/p11-kit server -f -n /run/adopt-link/pkcs11 pkcs11:token=x\n");
        sandbox.Run("systemctl", "link", "/opt/adopt-link.service").Succeeded();
        var result = sandbox.HsmRemote("foreach ($n in 'adopt-none', 'adopt-link') { try { Install-P11KitServer $n -Adopt -ErrorAction Stop } catch { ($_.FullyQualifiedErrorId -split ',')[0] } }").Succeeded();
        Assert.Equal(["NothingToAdopt", "AdoptLinked"], result.Select(r => r.GetString()));
        Assert.NotEqual(0, sandbox.Shell("ls -d /etc/adopt-none /etc/adopt-link").ExitCode);
    }

    string ErrorId(string command) =>
        Text(sandbox.HsmRemote($$"""try { {{command}} -ErrorAction Stop } catch { ($_.FullyQualifiedErrorId -split ',')[0] }""").SucceededWithOne());

    static string Text(JsonElement element, string property) => Text(element.GetProperty(property));

    static string Text(JsonElement element) => element.GetString()!;
}
