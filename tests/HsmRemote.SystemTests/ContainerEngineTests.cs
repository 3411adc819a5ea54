using System.Text.Json;

namespace HsmRemote.SystemTests;

/// <summary>What New-P11ContainerConfig writes, read by the engines that it is for.</summary>
public sealed class ContainerEngineTests(SandboxFixture sandbox)
{
    [Fact]
    public void Compose_takes_the_file_and_the_same_container_works()
    {
        var host = new ContainerHost(sandbox);
        var token = host.Serve("engine-compose", 7501);
        Assert.SkipWhen(sandbox.Shell("command -v docker-compose").ExitCode != 0, "docker-compose is not installed: it has NOT read the compose file.");
        var result = sandbox.HsmRemote($"New-P11ContainerConfig engine-compose Compose -Image {ContainerHost.Image} -Uid 5000 -Path /run/engine-compose-file/compose.yaml");
        Assert.NotEqual(0, result.ExitCode);
        sandbox.Run("mkdir", "/run/engine-compose-file").Succeeded();
        Assert.True(sandbox.HsmRemote($"New-P11ContainerConfig engine-compose Compose -Image {ContainerHost.Image} -Uid 5000 -Path /run/engine-compose-file/compose.yaml").SucceededWithOne().GetProperty("Changed").GetBoolean());

        // As docker-compose reads it back, turned into the options of podman run.
        var options = sandbox.Shell(
            """
            cd /run/engine-compose-file; docker-compose --file compose.yaml config | python3 -c '
            import sys, yaml, shlex
            service = yaml.safe_load(sys.stdin)["services"]["engine-compose"]
            mount, = service["volumes"]
            group, = service["group_add"]
            assert mount["read_only"] is True, mount
            print(shlex.join(["--user", service["user"], "--group-add", group, "--mount", "type=bind,source=%s,target=%s,readonly" % (mount["source"], mount["target"]),
                *["--env=%s=%s" % v for v in service["environment"].items()], service["image"]]))'
            """).Succeeded();
        Assert.Equal(host.Config($"engine-compose Podman -Image {ContainerHost.Image} -Uid 5000").Replace("--env ", "--env=", StringComparison.Ordinal), options);
        Assert.Contains("Verified OK", host.Run(options, ContainerHost.Sign(token)).Succeeded(), StringComparison.Ordinal);
    }

    [Fact]
    public void A_file_that_people_wrote_keeps_their_words_and_compose_still_takes_it()
    {
        sandbox.HsmRemote("Install-P11KitServer engine-merge -Group engine-merge -GroupId 7502").SucceededWithOne();
        Assert.SkipWhen(sandbox.Shell("command -v docker-compose").ExitCode != 0, "docker-compose is not installed: it has NOT read the compose file.");
        const string Before = "# our devices\nservices:\n  web: {image: nginx}   # not ours\n\n  tedge:\n    image: tedge   # pinned elsewhere\n    user: \"1000:1000\"\n    environment:\n      - MODE=x # slow\n\nvolumes: {}\n# the end\n";
        sandbox.WriteFile("/run/engine-merge-file/compose.yaml", Before);
        const string Command = "New-P11ContainerConfig engine-merge Compose -Service tedge -Path /run/engine-merge-file/compose.yaml";

        var planned = sandbox.Run(SandboxFixture.ShellPath, "-NoProfile", "-NonInteractive", "-Command", $"{Command} -WhatIf").Succeeded();
        Assert.Contains("+    group_add:", planned, StringComparison.Ordinal);
        Assert.Equal(Before.Trim(), sandbox.Run("cat", "/run/engine-merge-file/compose.yaml").Succeeded());

        Assert.True(sandbox.HsmRemote(Command).SucceededWithOne().GetProperty("Changed").GetBoolean());
        Assert.False(sandbox.HsmRemote(Command).SucceededWithOne().GetProperty("Changed").GetBoolean());
        var after = sandbox.Run("cat", "/run/engine-merge-file/compose.yaml").Succeeded();
        Assert.All(Before.Trim().Split('\n'), line => Assert.Contains(line, after, StringComparison.Ordinal));
        var read = Json("cd /run/engine-merge-file; docker-compose --file compose.yaml config").GetProperty("services").GetProperty("tedge");
        Assert.Equal("1000:1000", read.GetProperty("user").GetString());
        Assert.Equal("7502", Assert.Single(read.GetProperty("group_add").EnumerateArray()).GetString());
        Assert.Equal("unix:path=/run/engine-merge/pkcs11", read.GetProperty("environment").GetProperty("P11_KIT_SERVER_ADDRESS").GetString());
        Assert.Equal("x", read.GetProperty("environment").GetProperty("MODE").GetString());
    }

    [Fact]
    public void The_env_file_and_the_secret_are_what_compose_reads()
    {
        sandbox.HsmRemote("Install-P11KitServer engine-env -Group engine-env -GroupId 7503").SucceededWithOne();
        Assert.SkipWhen(sandbox.Shell("command -v docker-compose").ExitCode != 0, "docker-compose is not installed: it has NOT read the .env file.");
        sandbox.Shell("mkdir -p /run/engine-env-file; cd /run/engine-env-file; openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out cert.pem -subj /CN=device 2>&1").Succeeded();
        sandbox.WriteFile("/run/engine-env-file/.env", "# device 7\nC8Y_DOMAIN=old\nOTHER='kept # so'\n");
        sandbox.WriteFile("/run/engine-env-file/pin", "654321\n", "0600");
        sandbox.WriteFile(
            "/run/engine-env-file/compose.yaml",
            "services:\n  a:\n    image: a\n    environment:\n      S: $SOCKET_PATH\n      C: $CERTPUBLIC\n      D: $C8Y_DOMAIN\n      P: $TEDGE_DEVICE_CRYPTOKI_PIN\n      O: $OTHER\n      V: $EXTRA\n");
        const string Command = "New-P11ContainerConfig engine-env Env -CertificatePath /run/engine-env-file/cert.pem -C8yDomain example.test -Variable @{EXTRA='a \"b\" #c $d'} -PinPath /run/engine-env-file/pin -Path /run/engine-env-file/.env";
        Assert.True(sandbox.HsmRemote(Command).SucceededWithOne().GetProperty("Changed").GetBoolean());
        Assert.False(sandbox.HsmRemote(Command).SucceededWithOne().GetProperty("Changed").GetBoolean());
        Assert.Equal("600", sandbox.Run("stat", "--format=%a", "/run/engine-env-file/.env").Succeeded());
        Assert.StartsWith("# device 7\nC8Y_DOMAIN=example.test\nOTHER='kept # so'\n", sandbox.Run("cat", "/run/engine-env-file/.env").Succeeded(), StringComparison.Ordinal);

        var read = Json("cd /run/engine-env-file; docker-compose --file compose.yaml config").GetProperty("services").GetProperty("a").GetProperty("environment");
        string Value(string name) => read.GetProperty(name).GetString()!;
        Assert.Equal("/run/engine-env/pkcs11", Value("S"));
        Assert.Equal("example.test", Value("D"));
        Assert.Equal("654321", Value("P"));
        Assert.Equal("kept # so", Value("O"));
        // docker-compose config writes a dollar of its own as two.
        Assert.Equal("a \"b\" #c $$d", Value("V"));
        Assert.Equal(
            sandbox.Run("openssl", "x509", "-in", "/run/engine-env-file/cert.pem", "-outform", "PEM").Succeeded(),
            System.Text.Encoding.ASCII.GetString(Convert.FromBase64String(Value("C"))).Trim());

        // As a secret, the PIN leaves the environment.
        sandbox.HsmRemote($"{Command} -PinAsSecret").SucceededWithOne();
        Assert.DoesNotContain("654321", sandbox.Run("cat", "/run/engine-env-file/.env").Succeeded(), StringComparison.Ordinal);
        sandbox.HsmRemote("New-P11ContainerConfig engine-env Compose -Service a -Uid 5000 -PinPath /run/engine-env-file/pin -PinAsSecret -Path /run/engine-env-file/compose.yaml").SucceededWithOne();
        Assert.Equal("600 5000:5000", sandbox.Run("stat", "--format=%a %u:%g", "/run/engine-env-file/pkcs11_pin").Succeeded());
        Assert.Equal("654321", sandbox.Run("cat", "/run/engine-env-file/pkcs11_pin").Succeeded());
        var file = Json("cd /run/engine-env-file; docker-compose --file compose.yaml config");
        Assert.Equal("/run/engine-env-file/pkcs11_pin", file.GetProperty("secrets").GetProperty("pkcs11_pin").GetProperty("file").GetString());
        Assert.Equal("pkcs11_pin", Assert.Single(file.GetProperty("services").GetProperty("a").GetProperty("secrets").EnumerateArray()).GetProperty("source").GetString());
    }

    [Fact]
    public void Podman_plays_the_Pod()
    {
        var host = new ContainerHost(sandbox);
        var token = host.Serve("engine-pod", 7504);
        Assert.SkipWhen(sandbox.Shell("command -v catatonit").ExitCode != 0, "catatonit is not installed: no Pod has been played.");
        Assert.True(sandbox.HsmRemote($"New-P11ContainerConfig engine-pod Kubernetes -Image {ContainerHost.Image} -Uid 5000 -Path /run/engine-pod.yaml").SucceededWithOne().GetProperty("Changed").GetBoolean());
        // A Pod wants a control group of its own, which the sandbox delegates to nobody; podman and crun do without when they take
        // themselves for rootless and are told so. Users and groups stay those of the host.
        sandbox.WriteFile("/run/engine-pod/crun", "#!/bin/sh\nexec crun --cgroup-manager=disabled \"$@\"\n", "0755");
        sandbox.WriteFile(
            "/run/engine-pod.conf",
            "[containers]\ncgroups = \"disabled\"\ndefault_ulimits = []\n[engine]\nruntime = \"crun\"\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"none\"\n[engine.runtimes]\ncrun = [\"/run/engine-pod/crun\"]\n");
        sandbox.WriteFile("/run/engine-pod-sign.sh", ContainerHost.Sign(token));
        var played = sandbox.Shell(
            """
            export CONTAINERS_CONF=/run/engine-pod.conf CONTAINERS_STORAGE_CONF=/etc/containers/storage.conf
            export _CONTAINERS_USERNS_CONFIGURED=done _CONTAINERS_ROOTLESS_UID=0 XDG_RUNTIME_DIR=/run/engine-pod-runtime
            mkdir -p $XDG_RUNTIME_DIR
            podman kube play --network=none /run/engine-pod.yaml
            podman exec engine-pod-engine-pod id -G
            podman exec --interactive engine-pod-engine-pod sh </run/engine-pod-sign.sh
            podman kube down /run/engine-pod.yaml
            """).Succeeded();
        Assert.Contains("\n5000 7504\n", played, StringComparison.Ordinal);
        Assert.Contains("Verified OK", played, StringComparison.Ordinal);
    }

    [Fact]
    public void Kubectl_merges_the_patch_into_a_Pod_and_leaves_the_rest_as_it_is()
    {
        Assert.SkipWhen(sandbox.Shell("command -v kubectl").ExitCode != 0, "kubectl is not installed: it has NOT read the Pod.");
        sandbox.HsmRemote("Install-P11KitServer engine-patch -Group engine-patch -GroupId 7506").SucceededWithOne();
        sandbox.HsmRemote("New-P11ContainerConfig engine-patch Kubernetes -Service app -Uid 5000 -Path /run/engine-patch.yaml").SucceededWithOne();
        sandbox.WriteFile(
            "/run/engine-patch-pod.yaml",
            "apiVersion: v1\nkind: Pod\nmetadata: {name: app}\nspec:\n  containers:\n  - {name: side, image: nginx}\n  - {name: app, image: debian, env: [{name: A, value: b}]}\n  volumes: [{name: own, emptyDir: {}}]\n");
        using var merged = JsonDocument.Parse(sandbox.Shell("""kubectl patch --local --filename /run/engine-patch-pod.yaml --patch "$(cat /run/engine-patch.yaml)" --output json""").Succeeded());
        var spec = merged.RootElement.GetProperty("spec");
        Assert.Equal("""{"runAsGroup":5000,"runAsUser":5000,"supplementalGroups":[7506]}""", JsonSerializer.Serialize(spec.GetProperty("securityContext")));
        var containers = spec.GetProperty("containers").EnumerateArray().ToDictionary(container => container.GetProperty("name").GetString()!, StringComparer.Ordinal);
        Assert.Equal(["app", "side"], containers.Keys.Order(StringComparer.Ordinal));
        Assert.False(containers["side"].TryGetProperty("volumeMounts", out _));
        var app = containers["app"];
        Assert.Equal("debian", app.GetProperty("image").GetString());
        Assert.Equal(["A=b", "P11_KIT_SERVER_ADDRESS=unix:path=/run/engine-patch/pkcs11"], app.GetProperty("env").EnumerateArray().Select(v => $"{v.GetProperty("name")}={v.GetProperty("value")}").Order(StringComparer.Ordinal));
        var mount = Assert.Single(app.GetProperty("volumeMounts").EnumerateArray());
        Assert.True(mount.GetProperty("readOnly").GetBoolean());
        var volumes = spec.GetProperty("volumes").EnumerateArray().ToDictionary(volume => volume.GetProperty("name").GetString()!, StringComparer.Ordinal);
        Assert.Equal(2, volumes.Count);
        Assert.Equal("/run/engine-patch", volumes[mount.GetProperty("name").GetString()!].GetProperty("hostPath").GetProperty("path").GetString());
    }

    [Fact]
    public void Podman_of_Debian_13_takes_the_quadlet()
    {
        var root = Trixie.Enter(sandbox);
        sandbox.HsmRemote("Install-P11KitServer engine-quadlet -Group engine-quadlet -GroupId 7505").SucceededWithOne();
        sandbox.Run("mkdir", "-p", "/run/engine-quadlet-units").Succeeded();
        foreach (var (file, options) in new[]
        {
            ("numeric", "-Uid 5000"), ("named", "-User www-data -Service named"), ("selinux", "-Uid 0 -SecurityModule SELinux"),
        })
        {
            sandbox.HsmRemote($"New-P11ContainerConfig engine-quadlet Quadlet -Image docker.io/library/debian:12 {options} -Path /run/engine-quadlet-units/{file}.container").SucceededWithOne();
        }

        var units = Trixie.Quadlet(sandbox, root, "/run/engine-quadlet-units");
        Assert.Equal("", units.StdErr.Replace("Loading source unit file", "", StringComparison.Ordinal).Split('\n').FirstOrDefault(l => l.Contains("rror", StringComparison.Ordinal) || l.Contains("arning", StringComparison.Ordinal)) ?? "");
        var text = units.Succeeded();
        Assert.Contains("--group-add 7505 ", text, StringComparison.Ordinal);
        Assert.Contains("--user 5000:5000 ", text, StringComparison.Ordinal);
        Assert.Contains("--user www-data ", text, StringComparison.Ordinal);
        Assert.Contains("--security-opt label=disable ", text, StringComparison.Ordinal);
        Assert.Contains("--mount type=bind,source=/run/engine-quadlet,target=/run/engine-quadlet,readonly ", text, StringComparison.Ordinal);
        Assert.Contains("--env P11_KIT_SERVER_ADDRESS=unix:path=/run/engine-quadlet/pkcs11 ", text, StringComparison.Ordinal);
        Assert.Contains("After=engine-quadlet.socket", text, StringComparison.Ordinal);
    }

    /// <summary>YAML that a command writes, as JSON.</summary>
    JsonElement Json(string command)
    {
        var json = sandbox.Shell($"{{ {command}; }} | python3 -c 'import sys, yaml, json; json.dump(yaml.safe_load(sys.stdin), sys.stdout)'").Succeeded();
        return JsonDocument.Parse(json).RootElement;
    }
}

/// <summary>Debian 13 with its podman, in the sandbox.</summary>
static class Trixie
{
    static readonly Lock Preparation = new();
    static bool unpacked;

    /// <summary>The root directory; skips the test where there is none.</summary>
    internal static string Enter(SandboxFixture sandbox)
    {
        const string Root = "/run/trixie";
        lock (Preparation)
        {
            if (unpacked)
                return Root;
            // First whether there is a sandbox at all.
            sandbox.Run("mkdir", "-p", Root).Succeeded();
            var (archive, whyNot) = ContainerHost.Make("trixie");
            Assert.SkipWhen(archive is null, whyNot ?? "");
            sandbox.Shell($"tar --extract --file={archive} --directory={Root} --exclude='./dev/*'; for d in bin sbin lib lib64; do ln -sfn usr/$d {Root}/$d; done; mkdir {Root}/units").Succeeded();
            unpacked = true;
            return Root;
        }
    }

    /// <summary>What podman's generator makes of the units in a directory, without installing anything.</summary>
    internal static CommandResult Quadlet(SandboxFixture sandbox, string root, string units) => sandbox.Run(
        "unshare", "--mount", "bash", "-euc", $"mount --bind {units} {root}/units; QUADLET_UNIT_DIRS=/units exec chroot {root} /usr/libexec/podman/quadlet -dryrun");
}
