using System.Text.Json;

namespace HsmRemote.SystemTests;

/// <summary>Servers that something else installed: found, read, tested, retargeted and restarted as they are.</summary>
public sealed class ForeignServerTests(SandboxFixture sandbox)
{
    [Fact]
    public void The_package_tedge_p11_kit_server()
    {
        var token = sandbox.CreateToken("foreign-tedge");
        // What the package of github.com/reubenmiller/hsm-research, tedge-p11-kit-server/, puts in place.
        sandbox.Shell("getent passwd tedge || useradd --system --user-group tedge").Succeeded();
        sandbox.WriteFile("/etc/tedge-p11-kit-server/config.env", "\n# PKCS11 URI that should be accessible from the unix socket\nTARGET_PKCS11_URI=pkcs11:model=PKCS%2315%20emulated;manufacturer=piv_II\n");
        sandbox.WriteFile("/usr/lib/systemd/system/tedge-p11-kit-server.service", """
            [Unit]
            Requires=tedge-p11-kit-server.socket

            [Service]
            Type=simple
            StandardError=journal
            EnvironmentFile=-/etc/tedge-p11-kit-server/config.env
            ExecStart=/usr/bin/p11-kit server -f -u tedge -g tedge -n %t/tedge-p11-kit-server/pkcs11 "${TARGET_PKCS11_URI}"
            Restart=on-failure

            [Install]
            Also=tedge-p11-kit-server.socket
            WantedBy=default.target
            """);
        sandbox.WriteFile("/usr/lib/systemd/system/tedge-p11-kit-server.socket", """
            [Socket]
            Priority=6
            Backlog=5
            ListenStream=%t/tedge-p11-kit-server/pkcs11
            SocketUser=tedge
            SocketGroup=tedge
            SocketMode=0660

            [Install]
            WantedBy=sockets.target
            """);
        sandbox.Shell("systemctl enable tedge-p11-kit-server.service; systemctl daemon-reload").Succeeded();

        var stopped = Server("tedge-p11-kit-server");
        Assert.Equal(("Stopped", "Daemon", "/run/tedge-p11-kit-server/pkcs11"), (Text(stopped, "State"), Text(stopped, "Mode"), Text(stopped, "SocketPath")));
        Assert.Equal(("0660", "tedge", "tedge"), (Text(stopped, "SocketMode"), Text(stopped, "SocketUser"), Text(stopped, "Group")));
        Assert.Equal(("tedge", "tedge"), (Text(stopped, "PeerUser"), Text(stopped, "PeerGroup")));
        Assert.Equal(("/etc/tedge-p11-kit-server/config.env", "TARGET_PKCS11_URI"), (Text(stopped, "ConfigPath"), Text(stopped, "TargetVariable")));
        Assert.Equal("pkcs11:model=PKCS%2315%20emulated;manufacturer=piv_II", Assert.Single(Target(stopped)));
        Assert.True(stopped.GetProperty("Enabled").GetBoolean());
        Assert.False(stopped.GetProperty("IsManaged").GetBoolean());

        Assert.Equal(["Start tedge-p11-kit-server.socket", "Start tedge-p11-kit-server.service"], Changes("Start-P11KitServer tedge-p11-kit-server"));
        Assert.Equal(token.Uri, Assert.Single(Target(After($"Set-P11TargetUri tedge-p11-kit-server '{token.Uri}'", "tedge-p11-kit-server"))));
        // As the process itself has it.
        sandbox.WaitFor($"tr '\\0' ' ' </proc/$(systemctl show -P MainPID tedge-p11-kit-server.service)/cmdline | grep -qF '{token.Uri}'");
        Assert.Contains("# PKCS11 URI that", sandbox.Run("cat", "/etc/tedge-p11-kit-server/config.env").Succeeded(), StringComparison.Ordinal);

        // p11-kit compares the peer: root is no exception.
        WaitForServer("/run/tedge-p11-kit-server/pkcs11");
        Assert.Equal("PeerRefused", Text(sandbox.HsmRemote("Test-P11Socket tedge-p11-kit-server").SucceededWithOne(), "Cause"));
        // What p11-kit 0.24 makes of the path is nobody's but root's; given the mode that was meant, the user is let in.
        sandbox.Shell("chown tedge:tedge /run/tedge-p11-kit-server/pkcs11; chmod 0660 /run/tedge-p11-kit-server/pkcs11").Succeeded();
        Assert.True(sandbox.HsmRemote("Test-P11Socket tedge-p11-kit-server -User tedge").SucceededWithOne().GetProperty("Succeeded").GetBoolean());

        Assert.Equal("TargetTakesOneUri", Error($"Set-P11TargetUri tedge-p11-kit-server '{token.Uri}', pkcs11:token=other"));

        var process = sandbox.Run("systemctl", "show", "-P", "MainPID", "tedge-p11-kit-server.service").Succeeded();
        Assert.NotEmpty(Changes("Restart-P11KitServer tedge-p11-kit-server"));
        Assert.NotEqual(process, sandbox.Run("systemctl", "show", "-P", "MainPID", "tedge-p11-kit-server.service").Succeeded());
        Assert.Equal("Listening", Text(Server("tedge-p11-kit-server"), "State"));

        Assert.NotEmpty(Changes("Stop-P11KitServer tedge-p11-kit-server"));
        Assert.Equal("Stopped", Text(Server("tedge-p11-kit-server"), "State"));
        Assert.Empty(Changes("Stop-P11KitServer tedge-p11-kit-server"));
    }

    [Fact]
    public void Units_that_a_guide_has_one_write_with_the_URI_in_the_command()
    {
        var token = sandbox.CreateToken("foreign guide");
        var other = sandbox.CreateToken("foreign 50% guide");
        // After docs/CONTAINERS.md and mosquitto/DEBIAN.md of github.com/reubenmiller/hsm-research.
        sandbox.WriteFile("/etc/systemd/system/foreign-guide.socket", "[Socket]\nPriority=6\nBacklog=5\nListenStream=%t/foreign-guide/pkcs11\nSocketMode=0600\n\n[Install]\nWantedBy=sockets.target\n");
        sandbox.WriteFile("/etc/systemd/system/foreign-guide.service", $"""
            [Unit]
            Requires=foreign-guide.socket

            [Service]
            Type=simple
            StandardError=journal
            #ExecStart=/usr/bin/p11-kit server -f -n %t/foreign-guide/pkcs11 pkcs11:
            ExecStart=/usr/bin/p11-kit server -f -n %t/foreign-guide/pkcs11 {token.Uri.Replace("%", "%%", StringComparison.Ordinal)}
            Restart=on-failure
            """);
        sandbox.Shell("systemctl daemon-reload; systemctl start foreign-guide.service").Succeeded();
        WaitForServer("/run/foreign-guide/pkcs11");

        var server = Server("foreign-guide");
        Assert.Equal(token.Uri, Assert.Single(Target(server)));
        Assert.Equal(JsonValueKind.Null, server.GetProperty("ConfigPath").ValueKind);
        Assert.Equal("/etc/systemd/system/foreign-guide.service", Text(sandbox.HsmRemote("Get-P11TargetUri foreign-guide").SucceededWithOne(), "Path"));
        Assert.True(sandbox.HsmRemote("Test-P11Socket foreign-guide").SucceededWithOne().GetProperty("Succeeded").GetBoolean());

        var changed = After($"Get-Pkcs11Token '{token.Label}', '{other.Label}' | Set-P11TargetUri -Name foreign-guide", "foreign-guide");
        Assert.Equal(2, Target(changed).Length);
        Assert.Equal("/etc/systemd/system/foreign-guide.service.d/zz-target.conf", Assert.Single(changed.GetProperty("DropInPath").EnumerateArray()).GetString());
        var read = sandbox.HsmRemote("Get-P11TargetUri foreign-guide").SucceededWithOne();
        Assert.Equal(Target(changed), read.GetProperty("Uri").EnumerateArray().Select(uri => uri.GetString()));
        Assert.Equal("/etc/systemd/system/foreign-guide.service.d/zz-target.conf", Text(read, "Path"));
        WaitForServer("/run/foreign-guide/pkcs11");
        Assert.Equal(
            new[] { token.Label, other.Label }.Order(StringComparer.Ordinal),
            sandbox.HsmRemote("Get-Pkcs11Token -Name foreign-guide").Succeeded().Select(t => Text(t, "Label")).Order(StringComparer.Ordinal));
        Assert.Empty(Changes($"Get-Pkcs11Token '{token.Label}', '{other.Label}' | Set-P11TargetUri -Name foreign-guide"));

        Assert.NotEmpty(Changes("Restart-P11KitServer foreign-guide"));
        WaitForServer("/run/foreign-guide/pkcs11");
        Assert.True(sandbox.HsmRemote("Test-P11Socket foreign-guide").SucceededWithOne().GetProperty("Succeeded").GetBoolean());
    }

    [Theory]
    // Upstream's unit (p11-kit/p11-kit-server.service.in of github.com/p11-glue/p11-kit), with its program in libexec.
    [InlineData("foreign-libexec", "/usr/libexec/p11-kit/p11-kit-server -f -n /run/foreign-libexec.sock pkcs11:token=x", "/run/foreign-libexec.sock", "pkcs11:token=x")]
    [InlineData("foreign-name", "/usr/bin/p11-kit server --foreground --name=/run/foreign-name.sock --provider /usr/lib/softhsm/libsofthsm2.so pkcs11:token=x", "/run/foreign-name.sock", "pkcs11:token=x")]
    [InlineData("foreign-shell", "/bin/sh -c 'exec p11-kit server -f -n /run/foreign-shell.sock \"$$WHAT\"'", "/run/foreign-shell.sock", "pkcs11:serial=1;token=y")]
    [InlineData("foreign-env", "/usr/bin/p11-kit server -f -n ${RUNTIME_DIRECTORY}/p11 $WHAT", "/run/foreign-env/p11", "pkcs11:serial=1;token=y")]
    public void Commands_as_people_write_them(string name, string command, string socketPath, string target)
    {
        sandbox.WriteFile($"/etc/{name}.env", "WHAT=\"pkcs11:serial=1;token=y\"\n");
        sandbox.WriteFile($"/etc/systemd/system/{name}.service", $"[Service]\nRuntimeDirectory={name}\nEnvironment=WHAT=pkcs11:token=overridden\nEnvironmentFile=-/etc/{name}-none.env\nEnvironmentFile=/etc/{name}.env\nExecStart={command}\n");
        sandbox.Run("systemctl", "daemon-reload").Succeeded();
        Assert.Equal(["Start " + name + ".service"], Changes($"Start-P11KitServer {name}"));
        sandbox.WaitFor($"test -S {socketPath}");
        var server = Server(name);
        Assert.Equal((socketPath, "Listening"), (Text(server, "SocketPath"), Text(server, "State")));
        // What the socket's file really has, since the server makes it.
        Assert.Equal(("0711", "root"), (Text(server, "SocketMode"), Text(server, "Group")));
        Assert.Equal(target, Assert.Single(Target(server)));
        sandbox.WaitFor($"tr '\\0' '\\n' </proc/$(systemctl show -P MainPID {name})/cmdline | grep -qxF '{target}'");
        Assert.NotEmpty(Changes($"Stop-P11KitServer {name}"));
        Assert.Equal("Stopped", Text(Server(name), "State"));
    }

    [Fact]
    public void A_target_in_a_shell_s_script_is_left_to_who_wrote_it()
    {
        sandbox.WriteFile("/etc/systemd/system/foreign-script.service", "[Service]\nExecStart=/bin/sh -c 'exec p11-kit server -f -n /run/foreign-script.sock pkcs11:token=x'\n");
        sandbox.Run("systemctl", "daemon-reload").Succeeded();
        Assert.Equal("NoConfigFile", Error("Set-P11TargetUri foreign-script pkcs11:token=z"));
    }

    /// <summary>Waits until the server itself listens: a socket unit has a file there before, which the server replaces.</summary>
    void WaitForServer(string path) => sandbox.WaitFor($"ss -Hxlp src {path} | grep '\"p11-kit'");

    JsonElement Server(string name) => sandbox.HsmRemote($"Get-P11KitServer {name}").SucceededWithOne();

    JsonElement After(string command, string name)
    {
        Assert.NotEmpty(Changes(command));
        return Server(name);
    }

    string[] Changes(string command) => [.. sandbox.HsmRemote(command).SucceededWithOne().GetProperty("Changes").EnumerateArray().Select(c => Text(c, "Description"))];

    string Error(string command) => sandbox.HsmRemote($$"""try { {{command}} -ErrorAction Stop } catch { $_.FullyQualifiedErrorId }""").SucceededWithOne().GetString()!.Split(',')[0];

    static string?[] Target(JsonElement server) => [.. server.GetProperty("TargetUri").EnumerateArray().Select(uri => uri.GetString())];

    static string Text(JsonElement element, string property) => element.GetProperty(property).GetString()!;
}
