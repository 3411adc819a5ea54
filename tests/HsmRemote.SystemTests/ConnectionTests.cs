using System.Text.Json;

namespace HsmRemote.SystemTests;

/// <summary>Get- and Disconnect-P11KitConnection: with a process for each connection, with a daemon, and for a container.</summary>
public sealed class ConnectionTests(SandboxFixture sandbox)
{
    [Theory]
    [InlineData("conn-each")]
    [InlineData("conn-daemon")]
    public void Who_is_connected_is_told_and_exactly_one_connection_is_ended(string name)
    {
        var path = Install(name, "pkcs11:token=first");
        var one = Hold($"{name}-one", path, "setpriv --reuid=5000 --regid=7405 --clear-groups");
        var two = Hold($"{name}-two", path);
        var connections = Connections(name, 2);
        Assert.Equal(2u, sandbox.HsmRemote($"Get-P11KitServer {name}").SucceededWithOne().GetProperty("Connections").GetUInt32());
        var first = connections.Single(connection => connection.GetProperty("ProcessId").GetInt32() == one);
        Assert.Equal((5000u, 7405u, "socat"), (first.GetProperty("UserId").GetUInt32(), first.GetProperty("GroupId").GetUInt32(), Text(first, "Command")));
        Assert.Equal(JsonValueKind.Null, first.GetProperty("UserName").ValueKind);
        Assert.Equal("root", Text(connections.Single(connection => connection.GetProperty("ProcessId").GetInt32() == two), "UserName"));
        Assert.Equal(["pkcs11:token=first"], first.GetProperty("TargetUri").EnumerateArray().Select(uri => uri.GetString()));
        Assert.InRange(DateTimeOffset.Now - first.GetProperty("Since").GetDateTimeOffset(), TimeSpan.Zero, TimeSpan.FromMinutes(10));
        Assert.Equal("p11-kit-remote", sandbox.Run("cat", $"/proc/{first.GetProperty("ServerProcessId").GetInt32()}/comm").Succeeded());

        // A connection that is kept keeps the target that it began with.
        if (name is "conn-each")
        {
            sandbox.HsmRemote($"Set-P11TargetUri {name} pkcs11:token=second -Force -KeepConnections").SucceededWithOne();
            Assert.All(Connections(name, 2), connection => Assert.Equal("pkcs11:token=first", connection.GetProperty("TargetUri")[0].GetString()));
        }

        var asked = sandbox.HsmRemote($"Get-P11KitConnection {name} | Where-Object ProcessId -eq {one} | Disconnect-P11KitConnection -WhatIf").SucceededWithOne();
        Assert.True(asked.GetProperty("WhatIf").GetBoolean());
        Connections(name, 2);
        var ended = sandbox.HsmRemote($"$c = Get-P11KitConnection {name} | Where-Object ProcessId -eq {one}; $c | Disconnect-P11KitConnection; $c | Disconnect-P11KitConnection").Succeeded();
        Assert.Equal([true, false], ended.Select(result => result.GetProperty("Changed").GetBoolean()));
        Assert.Equal(name, Text(ended[0], "Name"));
        Assert.Equal(two, Assert.Single(Connections(name, 1)).GetProperty("ProcessId").GetInt32());
        Assert.Equal("active", sandbox.Run("systemctl", "is-active", $"{name}-two").Succeeded());
        sandbox.WaitFor($"! systemctl is-active --quiet {name}-one");
    }

    [Fact]
    public void A_process_that_has_ended_and_left_its_connection_to_another_is_named_so()
    {
        var path = Install("conn-left", "pkcs11:token=first");
        // The one that connects goes, and its child holds the connection on.
        sandbox.WriteFile("/run/conn-left.py", $"""
            import os, socket, time
            s = socket.socket(socket.AF_UNIX)
            s.connect("{path}")
            if os.fork():
                os._exit(0)
            time.sleep(600)
            """);
        if (sandbox.Run("test", "-x", "/usr/bin/python3").ExitCode != 0)
            Assert.Skip("No /usr/bin/python3: a connection that outlives its process is NOT tested.");
        sandbox.Shell("systemd-run --quiet --unit=conn-left-client -p Type=forking -p RemainAfterExit=yes /usr/bin/python3 /run/conn-left.py").Succeeded();
        var connection = Assert.Single(Connections("conn-left", 1));
        Assert.Equal(JsonValueKind.Null, connection.GetProperty("Command").ValueKind);
        Assert.Equal(0u, connection.GetProperty("UserId").GetUInt32());
    }

    [Fact]
    public void A_connection_from_a_container_has_the_container_s_name()
    {
        if (sandbox.Shell("command -v podman && command -v crun").ExitCode != 0)
            Assert.Skip("podman and crun are not both installed: a container's connection is NOT tested.");
        var path = Install("conn-box", "pkcs11:token=first");
        sandbox.WriteFile("/run/conn-box.conf", "[containers]\ncgroups = \"disabled\"\ndefault_ulimits = []\n[engine]\nruntime = \"crun\"\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"none\"\n");
        sandbox.WriteFile("/run/conn-box-storage.conf", "[storage]\ndriver = \"vfs\"\ngraphroot = \"/var/tmp/conn-box/storage\"\nrunroot = \"/run/conn-box-containers\"\n");
        var id = sandbox.Shell(
            "mkdir -p /var/tmp/conn-box/root/{usr,run,tmp,etc,proc,sys,dev,var}; ln -s usr/bin usr/lib usr/lib64 /var/tmp/conn-box/root/; "
            + "CONTAINERS_CONF=/run/conn-box.conf CONTAINERS_STORAGE_CONF=/run/conn-box-storage.conf podman run --detach --name conn-in-box --rootfs --network=none --user 5000:5000"
            + $" --volume /usr:/usr:ro --volume /run/conn-box:/run/conn-box /var/tmp/conn-box/root socat UNIX-CONNECT:{path} PIPE").Succeeded().Split('\n')[^1];
        var connection = Assert.Single(Connections("conn-box", 1));
        Assert.Equal(
            ("podman", id, "conn-in-box", "socat", 5000u),
            (Text(connection, "ContainerEngine"), Text(connection, "ContainerId"), Text(connection, "ContainerName"), Text(connection, "Command"), connection.GetProperty("UserId").GetUInt32()));
        sandbox.HsmRemote("Get-P11KitConnection conn-box | Disconnect-P11KitConnection").SucceededWithOne();
        Connections("conn-box", 0);
    }

    [Fact]
    public void Who_is_not_root_is_told_that_it_takes_root()
    {
        var path = Install("conn-user", "pkcs11:token=first");
        Hold("conn-user-one", path);
        Connections("conn-user", 1);
        var result = sandbox.Run(
            "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", SandboxFixture.ShellPath, "-NoProfile", "-Command",
            "try { Get-P11KitConnection conn-user -ErrorAction Stop } catch { $_.FullyQualifiedErrorId }");
        Assert.Equal("ConnectionsUnreadable,HsmRemote.Commands.GetP11KitConnectionCommand", result.Succeeded());
    }

    /// <summary>Makes an instance that everybody may connect to; one with 'daemon' in its name is a p11-kit server.</summary>
    string Install(string name, string uri)
    {
        if (!name.Contains("daemon", StringComparison.Ordinal))
        {
            sandbox.HsmRemote($"Install-P11KitServer {name} -SocketMode 0666 -TargetUri {uri}").SucceededWithOne();
            return $"/run/{name}/pkcs11";
        }

        var path = $"/run/{name}.sock";
        sandbox.WriteFile($"/etc/systemd/system/{name}.service", $"[Service]\nExecStart=/usr/bin/p11-kit server -f -n {path} {uri}\n");
        // Only then is it everybody's: the server makes it its own.
        sandbox.Shell($"systemctl daemon-reload; systemctl start {name}").Succeeded();
        sandbox.WaitFor($"chmod 0666 {path}");
        return path;
    }

    int Hold(string name, string path, string identity = "") => int.Parse(
        sandbox.Shell($"systemd-run --quiet --unit={name} {identity} socat UNIX-CONNECT:{path} PIPE; systemctl show -P MainPID {name}").Succeeded(),
        System.Globalization.CultureInfo.InvariantCulture);

    /// <summary>The connections of an instance, as soon as there are so many: what serves them takes a moment to start or end.</summary>
    JsonElement[] Connections(string name, int count) => sandbox.Connections(name, count);

    static string Text(JsonElement element, string property) => element.GetProperty(property).GetString()!;
}
