using System.Text;
using System.Text.Json;
using HsmRemote.Services.Containers;

namespace HsmRemote.SystemTests;

/// <summary>New-P11ContainerConfig and Get-P11ContainerConfig, beyond what starts a container.</summary>
public sealed class ContainerConfigTests(SandboxFixture sandbox)
{
    const int Samples = 60;

    [Fact]
    public void A_container_that_is_as_it_needs_to_be_has_no_differences()
    {
        var host = new ContainerHost(sandbox);
        host.Serve("config-good", 7701);
        foreach (var (name, user) in new[] { ("config-number", "-Uid 5000"), ("config-root", "-Uid 0"), ("config-name", "-User www-data"), ("config-primary", "-Uid 5000 -Gid 7701") })
        {
            host.Start(name, host.Config($"config-good Podman -Image {ContainerHost.Image} {user}"));
            var config = sandbox.HsmRemote($"Get-P11ContainerConfig {name}").SucceededWithOne();
            Assert.Empty(config.GetProperty("Differences").EnumerateArray());
            Assert.Equal(("config-good", name, ContainerHost.Image), (Text(config, "Name"), Text(config, "Container"), Text(config, "Image")));
            Assert.True(config.GetProperty("Mount").GetProperty("ReadOnly").GetBoolean());
        }

        sandbox.Run("podman", "rm", "--force", "--time=0", "config-number", "config-root", "config-name", "config-primary").Succeeded();
    }

    [Fact]
    public void What_a_container_lacks_is_named_and_what_it_is_told_works()
    {
        var host = new ContainerHost(sandbox);
        host.Serve("config-bad", 7702);
        host.Start("config-bad", $"--user 33:33 --volume /run:/run:ro --env SECRET=hunter2 {ContainerHost.Image}");
        var error = Error("Get-P11ContainerConfig config-bad");
        Assert.StartsWith("ContainerWithoutServer,", error, StringComparison.Ordinal);

        var config = sandbox.HsmRemote("Get-P11ContainerConfig config-bad -Name config-bad").SucceededWithOne();
        Assert.Equal(["Mount", "Environment", "Group"], config.GetProperty("Differences").EnumerateArray().Select(d => Text(d, "Setting")));
        Assert.DoesNotContain("hunter2", config.ToString(), StringComparison.Ordinal);
        Assert.Contains("token=config-bad", host.Run(Text(config, "Text"), ContainerHost.List).Succeeded(), StringComparison.Ordinal);
        sandbox.Run("podman", "rm", "--force", "--time=0", "config-bad").Succeeded();

        var missing = Error("Get-P11ContainerConfig no-such-container");
        Assert.StartsWith("ContainerNotFound,", missing, StringComparison.Ordinal);
        // It is another cmdlet's parameter.
        Assert.DoesNotContain("-ProcessId", missing, StringComparison.Ordinal);
    }

    [Fact]
    public void A_daemon_s_peer_check_decides_who_may_be_configured()
    {
        sandbox.CreateToken("config-peer");
        sandbox.WriteFile(
            "/etc/systemd/system/config-peer.service",
            "[Service]\nRuntimeDirectory=config-peer\nExecStart=/usr/bin/p11-kit server -f -n /run/config-peer/pkcs11 -u daemon pkcs11:token=config-peer\nExecStartPost=/bin/sh -c 'until test -S /run/config-peer/pkcs11; do sleep 0.1; done; chmod 666 /run/config-peer/pkcs11'\n");
        sandbox.Run("systemctl", "start", "config-peer.service").Succeeded();
        var server = sandbox.HsmRemote("Get-P11KitServer config-peer").SucceededWithOne();
        Assert.Equal("daemon", Text(server, "PeerUser"));
        Assert.StartsWith("PeerCheckExcludes,", Error("New-P11ContainerConfig config-peer Docker -Uid 5001"), StringComparison.Ordinal);
        Assert.StartsWith("PeerCheckExcludes,", Error("New-P11ContainerConfig config-peer Docker -Uid 0"), StringComparison.Ordinal);
        Assert.Contains("--user 1:1", sandbox.HsmRemote("New-P11ContainerConfig config-peer Docker -Uid 1").SucceededWithOne().GetString(), StringComparison.Ordinal);
    }

    [Fact]
    public void A_PIN_is_in_its_file_and_nowhere_else()
    {
        sandbox.HsmRemote("Install-P11KitServer config-pin -Group config-pin").SucceededWithOne();
        sandbox.WriteFile("/run/config-pin-file/pin", "8675309\n", "0600");
        sandbox.WriteFile("/run/config-pin-file/.env", "TEDGE_DEVICE_CRYPTOKI_PIN=1112223\n");
        foreach (var command in new[]
        {
            "New-P11ContainerConfig config-pin Env -PinPath /run/config-pin-file/pin -Path /run/config-pin-file/.env -WhatIf -Verbose",
            "New-P11ContainerConfig config-pin Env -PinPath /run/config-pin-file/pin -Path /run/config-pin-file/new.env -Verbose",
            "New-P11ContainerConfig config-pin Env -PinPath /run/config-pin-file/pin -Path /no/such/directory/.env -Verbose",
            "New-P11ContainerConfig config-pin Compose -PinPath /run/config-pin-file/pin -PinAsSecret -Path /run/config-pin-file/compose.yaml -WhatIf -Verbose",
            "New-P11ContainerConfig config-pin Env -PinPath /run/config-pin-file/pin",
        })
        {
            foreach (var format in new[] { "Text", "Json" })
            {
                var result = sandbox.Run(SandboxFixture.ShellPath, "-NoProfile", "-NonInteractive", "-OutputFormat", format, "-Command", command);
                Assert.DoesNotContain("8675309", result.StdOut + result.StdErr, StringComparison.Ordinal);
                Assert.DoesNotContain("1112223", result.StdOut + result.StdErr, StringComparison.Ordinal);
            }
        }

        Assert.Equal("600", sandbox.Run("stat", "--format=%a", "/run/config-pin-file/new.env").Succeeded());
        Assert.Contains("TEDGE_DEVICE_CRYPTOKI_PIN=8675309", sandbox.Run("cat", "/run/config-pin-file/new.env").Succeeded(), StringComparison.Ordinal);
        // What others could read gets its mode with the PIN.
        sandbox.HsmRemote("New-P11ContainerConfig config-pin Env -PinPath /run/config-pin-file/pin -Path /run/config-pin-file/.env").SucceededWithOne();
        Assert.Equal("600", sandbox.Run("stat", "--format=%a", "/run/config-pin-file/.env").Succeeded());
    }

    [Fact]
    public void What_an_env_file_has_no_place_for_is_a_warning()
    {
        sandbox.HsmRemote("Install-P11KitServer config-env -Group config-env").SucceededWithOne();
        var result = sandbox.HsmRemote("New-P11ContainerConfig config-env Env -Image debian:12 -Uid 5000");
        Assert.StartsWith("SOCKET_PATH=", result.SucceededWithOne().GetString(), StringComparison.Ordinal);
        Assert.Contains("-Image and -Uid", result.StdErr, StringComparison.Ordinal);
        Assert.Equal("", sandbox.HsmRemote("New-P11ContainerConfig config-env Env -C8yDomain example.com").StdErr);
    }

    [Fact]
    public void Wrong_use_is_an_error_that_says_what_to_do()
    {
        sandbox.HsmRemote("Install-P11KitServer config-errors -Group config-errors").SucceededWithOne();
        var cases = new (string Arguments, string ErrorId)[]
        {
            ("-Engine Docker -Uid 1 -User root", "IdentityAmbiguous"),
            ("-Engine Docker -Gid 1", "UidRequired"),
            ("-Engine Docker -AsObject -Path /run/config-errors.txt", "OutputAmbiguous"),
            ("-Engine Docker -Image -rf", "ContainerValueInvalid"),
            ("-Engine Docker -Image \"a`nb\"", "ContainerValueInvalid"),
            ("-Engine Quadlet -Image 'a\\b'", "ContainerValueInvalid"),
            ("-Engine Quadlet -User ':5'", "ContainerValueInvalid"),
            ("-Engine Env -Variable @{'A-B'=1}", "ContainerValueInvalid"),
            ("-Engine Env -Variable @{A=\"x`ny\"}", "ContainerValueInvalid"),
            ("-Engine Env -Variable @{TEDGE_DEVICE_CRYPTOKI_PIN=1}", "PinNotWritable"),
            ("-Engine Env -Variable @{SOCKET_PATH='/x'}", "ContainerValueInvalid"),
            ("-Engine Docker -Variable @{P11_KIT_SERVER_ADDRESS='unix:path=/x'}", "ContainerValueInvalid"),
            ("-Engine Docker -Uid 3000000000", "ContainerValueInvalid"),
            ("-Engine Quadlet -Path /run", "PathUnusable"),
            ("-Engine Env -CertificatePath /etc/passwd", "CertificateFileUnreadable"),
            ("-Engine Compose -Service 'a b'", "ContainerValueInvalid"),
            ("-Engine Kubernetes -User app", "ContainerValueInvalid"),
            ("-Engine Quadlet -Path /etc/passwd", "FileNotOurs"),
            ("-Engine Compose -Path /etc/passwd", "ComposeFileUnmergeable"),
            ("-Engine Docker -UserNamespace remap", "UserNamespaceHidesGroup"),
            ("-Engine Docker -Rootless", "RootlessWithoutGroups"),
            ("-Engine Podman -Rootless -Runtime runc", "RootlessWithoutGroups"),
        };
        var script = string.Join('\n', cases.Select(c =>
            $"try {{ New-P11ContainerConfig config-errors {c.Arguments} -ErrorAction Stop }} catch {{ \"$($_.FullyQualifiedErrorId.Split(',')[0]) $([bool] $_.ErrorDetails.RecommendedAction)\" }}"));
        Assert.Equal(cases.Select(c => $"{c.ErrorId} True"), sandbox.HsmRemote(script).Succeeded().Select(e => e.GetString()));
    }

    [Fact]
    public void A_user_namespace_that_podman_is_configured_for_is_seen()
    {
        _ = new ContainerHost(sandbox);
        sandbox.HsmRemote("Install-P11KitServer config-userns -Group config-userns").SucceededWithOne();
        sandbox.WriteFile("/run/config-userns.conf", "[containers]\ncgroups = \"disabled\"\nuserns = \"auto\"\n[engine]\nruntime = \"crun\"\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"none\"\n");
        foreach (var setting in new[] { "$env:PODMAN_USERNS = 'auto'", "$env:CONTAINERS_CONF = '/run/config-userns.conf'" })
        {
            Assert.StartsWith("UserNamespaceHidesGroup,", Error($"{setting}; New-P11ContainerConfig config-userns Podman -Uid 5000"), StringComparison.Ordinal);
            var cured = sandbox.HsmRemote($"{setting}; New-P11ContainerConfig config-userns Podman -Uid 5000 -UserNamespace host").SucceededWithOne().GetString();
            Assert.Contains("--userns host ", cured, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void What_a_container_has_is_seen_however_it_came_to_it()
    {
        var host = new ContainerHost(sandbox);
        host.Serve("config-read", 7703);
        const string Address = "--env P11_KIT_SERVER_ADDRESS=unix:path=/run/config-read/pkcs11";
        sandbox.Run("podman", "volume", "create", "--opt", "type=none", "--opt", "o=bind", "--opt", "device=/run/config-read", "config-read").Succeeded();
        foreach (var mount in new[] { "/var/run/config-read:/run/config-read:ro", "config-read:/run/config-read" })
        {
            host.Start("config-read", $"--user 5000:5000 --group-add 7703 --volume {mount} {Address} {ContainerHost.Image}");
            Assert.Contains("token=config-read", host.Exec("config-read", ContainerHost.List).Succeeded(), StringComparison.Ordinal);
            Assert.Empty(Differences());
        }

        // Where the address does not look.
        host.Start("config-read", $"--user 5000:5000 --group-add 7703 --volume /run/config-read:/foo {Address} {ContainerHost.Image}");
        Assert.Equal(["Mount"], Differences());

        // A user namespace, in which all ids are others.
        host.Start("config-read", $"--user 5000:5000 --group-add 7703 --uidmap 0:100000:65536 --gidmap 0:100000:65536 --volume /run/config-read:/run/config-read:ro {Address} {ContainerHost.Image}");
        var test = sandbox.HsmRemote("Test-P11Socket config-read -Container config-read").SucceededWithOne();
        Assert.Equal("NotWritable", test.GetProperty("Cause").GetString());
        Assert.Contains("a user namespace of its own", test.GetProperty("Explanation").GetString(), StringComparison.Ordinal);
        Assert.StartsWith("Start it in the host's user namespace, and with the group: `--userns=host --group-add 7703`.", test.GetProperty("Remedy").GetString(), StringComparison.Ordinal);
        Assert.Equal(["UserNamespace"], Differences());
        sandbox.Run("podman", "volume", "rm", "config-read").Succeeded();

        IEnumerable<string?> Differences()
        {
            var settings = sandbox.HsmRemote("Get-P11ContainerConfig config-read").SucceededWithOne().GetProperty("Differences").EnumerateArray().Select(d => d.GetProperty("Setting").GetString()).ToList();
            sandbox.Run("podman", "rm", "--force", "--time=0", "config-read").Succeeded();
            return settings;
        }
    }

    [Fact]
    public void A_directory_that_keeps_the_container_s_user_out_is_an_error()
    {
        sandbox.HsmRemote("Install-P11KitServer config-closed -Group config-closed").SucceededWithOne();
        sandbox.Run("chmod", "0750", "/run/config-closed").Succeeded();
        Assert.StartsWith("SocketDirectoryClosed,", Error("New-P11ContainerConfig config-closed Docker -Uid 5000"), StringComparison.Ordinal);
        sandbox.HsmRemote("New-P11ContainerConfig config-closed Docker -Uid 0").SucceededWithOne();
        sandbox.Run("chgrp", "5000", "/run/config-closed").Succeeded();
        sandbox.HsmRemote("New-P11ContainerConfig config-closed Docker -Uid 5000").SucceededWithOne();
    }

    [Fact]
    public void Files_are_written_again_only_for_what_is_other_than_before()
    {
        sandbox.HsmRemote("Install-P11KitServer config-again1 -Group config-again; Install-P11KitServer config-again2 -Group config-again").Succeeded();
        sandbox.Run("mkdir", "/run/config-again-files").Succeeded();
        // A hashtable has another order in each process.
        sandbox.HsmRemote("New-P11ContainerConfig config-again1 Env -Variable @{F=1;B=2;E=3;A=4;D=5;C=6} -Path /run/config-again-files/.env").SucceededWithOne();
        Assert.Equal("SOCKET_PATH=/run/config-again1/pkcs11\nA=4\nB=2\nC=6\nD=5\nE=3\nF=1", sandbox.Run("cat", "/run/config-again-files/.env").Succeeded());
        sandbox.HsmRemote("New-P11ContainerConfig config-again1 Env -Variable ([ordered] @{H=1;G=2}) -Path /run/config-again-files/.env").SucceededWithOne();
        Assert.EndsWith("\nH=1\nG=2", sandbox.Run("cat", "/run/config-again-files/.env").Succeeded(), StringComparison.Ordinal);

        bool Arguments(int user) =>
            sandbox.HsmRemote($"New-P11ContainerConfig config-again1 Docker -Uid {user} -Path /run/config-again-files/arguments").SucceededWithOne().GetProperty("Changed").GetBoolean();
        Assert.True(Arguments(5000));
        Assert.False(Arguments(5000));
        Assert.True(Arguments(5001));

        const string Both = "Get-P11KitServer config-again* | New-P11ContainerConfig";
        Assert.StartsWith("PathAmbiguous,", Error($"$null = {Both} -Engine Quadlet -Path /run/config-again-files/app.container"), StringComparison.Ordinal);
        Assert.Contains("/run/config-again1/", sandbox.Run("cat", "/run/config-again-files/app.container").Succeeded(), StringComparison.Ordinal);
        Assert.Equal(2, sandbox.HsmRemote($"{Both} -Engine Compose -Image debian -Path /run/config-again-files/compose.yaml").Succeeded().Length);
    }

    [Fact]
    public void A_compose_file_s_user_and_encoding_stay()
    {
        sandbox.HsmRemote("Install-P11KitServer config-merge -Group config-merge -GroupId 7704").SucceededWithOne();
        const string Command = "New-P11ContainerConfig config-merge Compose -Service app -Path /run/config-merge-file/compose.yaml";
        foreach (var user in new[] { "${APP_UID}:${APP_GID}", "1000", "app" })
        {
            sandbox.WriteFile("/run/config-merge-file/compose.yaml", $"services:\n  app:\n    image: a\n    user: \"{user}\"\n");
            Assert.True(sandbox.HsmRemote(Command).SucceededWithOne().GetProperty("Changed").GetBoolean());
            var after = sandbox.Run("cat", "/run/config-merge-file/compose.yaml").Succeeded();
            Assert.Contains($"\n    user: \"{user}\"\n    group_add:\n      - \"7704\"\n", after, StringComparison.Ordinal);
        }

        sandbox.WriteFile("/run/config-merge-file/compose.yaml", "services:\n  app:\n    image: a\n    user: root\n");
        sandbox.HsmRemote(Command).SucceededWithOne();
        Assert.Contains("\n    user: root\n    environment:", sandbox.Run("cat", "/run/config-merge-file/compose.yaml").Succeeded(), StringComparison.Ordinal);

        sandbox.Shell("printf '\\xef\\xbb\\xbfservices:\\n  app:\\n    image: a\\n' >/run/config-merge-file/compose.yaml").Succeeded();
        sandbox.HsmRemote(Command).SucceededWithOne();
        Assert.Equal("efbbbf7365", sandbox.Shell("head --bytes=5 /run/config-merge-file/compose.yaml | od -An -tx1 | tr -d ' \\n'").Succeeded());
        sandbox.Shell("printf '# caf\\xe9\\nservices:\\n  app:\\n    image: a\\n' >/run/config-merge-file/compose.yaml").Succeeded();
        Assert.StartsWith("ComposeFileUnreadable,", Error(Command), StringComparison.Ordinal);
    }

    [Fact]
    public void A_PIN_moves_into_the_secret_and_stays_the_container_s()
    {
        sandbox.HsmRemote("Install-P11KitServer config-secret -Group config-secret").SucceededWithOne();
        const string Directory = "/run/config-secret-files";
        sandbox.WriteFile($"{Directory}/.env", "A=1\nTEDGE_DEVICE_CRYPTOKI_PIN=8675309\n", "0600");
        const string Move = $"New-P11ContainerConfig config-secret Env -PinAsSecret -Path {Directory}/.env";
        var moved = sandbox.HsmRemote(Move);
        Assert.True(moved.SucceededWithOne().GetProperty("Changed").GetBoolean());
        Assert.DoesNotContain("8675309", moved.UnfoldedStdErr, StringComparison.Ordinal);
        Assert.Equal("8675309", sandbox.Run("cat", $"{Directory}/pkcs11_pin").Succeeded());
        Assert.Equal("A=1\nSOCKET_PATH=/run/config-secret/pkcs11", sandbox.Run("cat", $"{Directory}/.env").Succeeded());
        Assert.False(sandbox.HsmRemote(Move).SucceededWithOne().GetProperty("Changed").GetBoolean());
        // Neither of two is lost.
        sandbox.WriteFile($"{Directory}/.env", "TEDGE_DEVICE_CRYPTOKI_PIN=1112223\n", "0600");
        Assert.StartsWith("PinAmbiguous,", Error(Move), StringComparison.Ordinal);
        Assert.Equal("TEDGE_DEVICE_CRYPTOKI_PIN=1112223", sandbox.Run("cat", $"{Directory}/.env").Succeeded());

        sandbox.WriteFile($"{Directory}/pin", "1112223\n", "0600");
        var compose = $"New-P11ContainerConfig config-secret Compose -Image a -PinPath {Directory}/pin -PinAsSecret -Path {Directory}/compose.yaml";
        Assert.DoesNotContain("WARNING", sandbox.HsmRemote($"{compose} -Uid 5000").UnfoldedStdErr, StringComparison.Ordinal);
        Assert.Equal("600 5000:5000", Owner());
        sandbox.HsmRemote($"New-P11ContainerConfig config-secret Env -PinPath {Directory}/pin -PinAsSecret -Path {Directory}/.env").SucceededWithOne();
        Assert.Equal("600 5000:5000", Owner());

        // Who cannot be shown to read it is warned of.
        foreach (var user in new[] { "-User app", "-Rootless -Uid 5000" })
            Assert.Contains($"{Directory}/pkcs11_pin is for the user 5000 of the host alone", sandbox.HsmRemote($"$env:DOCKER_HOST = 'unix:///run/none'; {compose} {user}").UnfoldedStdErr, StringComparison.Ordinal);
        var without = sandbox.HsmRemote($"New-P11ContainerConfig config-secret Compose -Image a -PinAsSecret -Path /run/config-secret-none.yaml");
        Assert.Contains("There is no PIN in /run/pkcs11_pin yet", without.UnfoldedStdErr, StringComparison.Ordinal);

        string Owner() => sandbox.Run("stat", "--format=%a %u:%g", $"{Directory}/pkcs11_pin").Succeeded();
    }

    [Fact]
    public void An_env_file_is_for_any_container()
    {
        sandbox.WriteFile(
            "/etc/systemd/system/config-any.service",
            "[Service]\nRuntimeDirectory=config-any\nExecStart=/usr/bin/p11-kit server -f -n /run/config-any/pkcs11 -u daemon pkcs11:token=config-any\n");
        sandbox.Run("systemctl", "start", "config-any.service").Succeeded();
        sandbox.WaitFor("test -S /run/config-any/pkcs11");
        Assert.Equal("SOCKET_PATH=/run/config-any/pkcs11", sandbox.HsmRemote("New-P11ContainerConfig config-any Env").SucceededWithOne().GetString());
        Assert.Equal("SOCKET_PATH=/run/config-any/pkcs11", sandbox.HsmRemote("New-P11ContainerConfig config-any Env -Rootless").SucceededWithOne().GetString());
    }

    /// <summary>Whatever a value holds, systemd reads back what the generator of podman made of our unit, unchanged.</summary>
    [Fact]
    public void A_unit_s_values_are_read_back_by_podman_s_generator_and_systemd()
    {
        var root = Trixie.Enter(sandbox);
        const int Seed = 1;
        var random = new Random(Seed);
        const string Odd = " \t\n\r'\"\\$`%#&|;:,<>(){}[]*?!~@=-+./01abnxé€\u0085\u2028\u007f\u0001";
        string Any(string of) => new([.. Enumerable.Range(0, random.Next(1, 12)).Select(_ => of[random.Next(of.Length)])]);
        var values = Enumerable.Range(0, Samples).Select(i => (Name: $"config-q{i}", Variable: Any(Odd), Image: $"a{Any(" '$%#&|;:<>(){}*?!~@=-+é")}z", Directory: $"/run/d{Any(" '$%#&|;<>(){}*?!~@-+é\\")}z")).ToList();

        var units = new StringBuilder("mkdir -p /run/config-units /run/systemd/system\n");
        foreach (var (name, variable, image, directory) in values)
            units.Append(Base64(Unit(name, variable, image, directory), $"/run/config-units/{name}.container"));
        sandbox.Run(SandboxFixture.DefaultDeadline, units.ToString(), "bash", "-e").Succeeded();
        var generated = Trixie.Quadlet(sandbox, root, "/run/config-units").StdOut;

        var install = new StringBuilder();
        foreach (var part in generated.Split("\n---").Select(p => p.TrimStart('-')))
        {
            var head = part.IndexOf("---", StringComparison.Ordinal);
            if (head > 0)
                install.Append(Base64(part[(head + 3)..].TrimStart('\n'), $"/run/systemd/system/{part[..head]}"));
        }

        install.Append("systemctl daemon-reload\n");
        foreach (var (name, _, _, _) in values)
            install.Append($"busctl --json=short get-property org.freedesktop.systemd1 $(busctl --json=short call org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager LoadUnit s {name}.service | python3 -c 'import json,sys; print(json.load(sys.stdin)[\"data\"][0])') org.freedesktop.systemd1.Service ExecStart\n");
        var lines = sandbox.Run(TimeSpan.FromMinutes(3), install.ToString(), "bash", "-e").Succeeded().Split('\n');
        Assert.Equal(values.Count, lines.Length);
        foreach (var ((name, variable, image, directory), line) in values.Zip(lines))
        {
            var data = JsonDocument.Parse(line).RootElement.GetProperty("data");
            Assert.True(data.GetArrayLength() == 1, $"seed {Seed}: {name} has no command: {variable}");
            // systemd expands variables when it starts the command: two dollars are one, and one alone would be a variable.
            var arguments = data[0][1].EnumerateArray().Select(a => a.GetString()!).ToList();
            Assert.All(arguments, a => Assert.DoesNotContain("$", a.Replace("$$", "", StringComparison.Ordinal), StringComparison.Ordinal));
            arguments = [.. arguments.Select(a => a.Replace("$$", "$", StringComparison.Ordinal))];
            Assert.True(arguments.Contains($"V={variable}"), $"seed {Seed}: {variable} became {string.Join(' ', arguments)}");
            Assert.True(arguments.Contains($"type=bind,source={directory},target={directory},readonly"), $"seed {Seed}: {directory} became {string.Join(' ', arguments)}");
            Assert.True(string.Equals(arguments[^1], image, StringComparison.Ordinal), $"seed {Seed}: {image} became {arguments[^1]}");
        }

        static string Base64(string text, string path) => $"base64 -d >{path} <<<{Convert.ToBase64String(Encoding.UTF8.GetBytes(text))}\n";
    }

    static string Unit(string name, string variable, string image, string directory)
    {
        var socket = new SocketAccess { Name = "edge", Unit = "edge.socket", SocketPath = $"{directory}/pkcs11", Scope = P11KitServerScope.System, Mode = UnixFileMode.None };
        var config = new P11ContainerConfig
        {
            Name = "edge", Engine = P11ContainerEngine.Quadlet, Image = image, SocketPath = socket.SocketPath, Mount = new(directory, directory, ReadOnly: true),
            Environment = new Dictionary<string, string>(StringComparer.Ordinal) { ["V"] = variable }, Rootless = false, Reasons = [],
        };
        return QuadletUnit.Write(config, socket, name);
    }

    string Error(string command) =>
        sandbox.HsmRemote($"try {{ {command} -ErrorAction Stop }} catch {{ \"$($_.FullyQualifiedErrorId) $($_.Exception.Message)\" }}").SucceededWithOne().GetString()!;

    static string Text(JsonElement element, string property) => element.GetProperty(property).GetString()!;
}
