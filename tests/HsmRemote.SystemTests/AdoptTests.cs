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
        var before = HostState.Of(sandbox);

        var refused = sandbox.HsmRemote("Install-P11KitServer p11-kit-server");
        Assert.Equal(1, refused.ExitCode);
        Assert.Contains("-Adopt takes it over", refused.StdErr, StringComparison.Ordinal);
        var server = sandbox.HsmRemote("Install-P11KitServer p11-kit-server -Adopt -Mode Acceptor -TargetUri pkcs11:token=by-hand; Get-P11KitServer p11-kit-server").Succeeded()[1];
        Assert.Equal("Listening Acceptor /run/p11-kit/pkcs11 daemon", $"{Text(server, "State")} {Text(server, "Mode")} {Text(server, "SocketPath")} {Text(server, "Group")}");

        sandbox.HsmRemote("Uninstall-P11KitServer p11-kit-server").SucceededWithOne();
        Assert.Equal(Unit.TrimEnd(), sandbox.Run("cat", "/etc/systemd/system/p11-kit-server.service").Succeeded());
        Assert.Equal("active", sandbox.Run("systemctl", "is-active", "p11-kit-server.service").Succeeded());
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
        HostState.IsAsBefore(before, sandbox);
        Assert.Equal("pkcs11:token=drop", Text(sandbox.HsmRemote("Get-P11TargetUri adopt-drop").SucceededWithOne().GetProperty("Uri")[0]));
        sandbox.Shell("systemctl stop adopt-drop.service; rm -r /etc/systemd/system/adopt-drop.service*; systemctl daemon-reload").Succeeded();
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

    static string Text(JsonElement element, string property) => Text(element.GetProperty(property));

    static string Text(JsonElement element) => element.GetString()!;
}
