namespace HsmRemote.SystemTests;

/// <summary>podman or docker in the sandbox, with an image of Debian that has p11-kit's client and programs that use it.</summary>
/// <remarks>
/// The image comes from tests/container-image.sh and is imported once. Its storage is in memory, where overlays work. Where
/// the image cannot be made, or the engine is not installed, each use skips the test and says why.
/// </remarks>
sealed class ContainerHost
{
    /// <summary>The image's name.</summary>
    internal const string Image = "localhost/debian:hsmremote";

    /// <summary>The PKCS #11 module in it.</summary>
    internal const string Client = "/usr/lib/x86_64-linux-gnu/pkcs11/p11-kit-client.so";

    // A sandbox delegates no control groups and allows no raising of limits.
    const string PodmanConfiguration = """
        [containers]
        cgroups = "disabled"
        default_ulimits = []
        [engine]
        runtime = "crun"
        cgroup_manager = "cgroupfs"
        events_logger = "none"

        """;

    // Its kernel keyrings are the machine's, and refused; docker has no setting for them.
    const string DockerRuntime = """
        #!/bin/bash
        arguments=(--cgroup-manager=disabled)
        for argument; do arguments+=("$argument"); [[ $argument != create ]] || arguments+=(--no-new-keyring); done
        exec crun "${arguments[@]}"

        """;

    // No network but the containers' own loopback.
    const string DockerConfiguration = """
        {
            "data-root": "/run/containers-test/docker", "exec-root": "/run/containers-test/docker-run", "storage-driver": "overlay2",
            "bridge": "none", "iptables": false, "ip6tables": false, "ip-forward": false,
            "runtimes": { "crun": { "path": "/opt/docker-runtime" } }, "default-runtime": "crun"
        }
        """;

    static readonly Lock Preparation = new();

    // Null: it is there.
    static readonly Dictionary<(SandboxFixture, string), string?> WhyNot = [];
    static string? archive;
    readonly SandboxFixture sandbox;
    readonly string program;

    internal ContainerHost(SandboxFixture sandbox, string program = "podman")
    {
        this.sandbox = sandbox;
        this.program = program;
        string? whyNot;
        lock (Preparation)
        {
            if (!WhyNot.TryGetValue((sandbox, program), out whyNot))
                WhyNot[(sandbox, program)] = whyNot = Prepare();
        }

        Assert.SkipWhen(whyNot is not null, whyNot ?? "");
    }

    /// <summary>The archive that the image was made from.</summary>
    internal static string Archive => archive!;

    /// <summary>The path of an archive of tests/container-image.sh, or null and why there is none.</summary>
    internal static (string? Path, string? WhyNot) Make(string name)
    {
        var script = Path.Combine(SandboxFixture.RepositoryRoot, "tests", "container-image.sh");
        var made = CommandResult.Of(TimeSpan.FromMinutes(15), "", script, [name]);
        return made.ExitCode == 77 ? (null, $"{made.StdErr.Trim()}: NOT tested.") : (made.Succeeded(), null);
    }

    string? Prepare()
    {
        var isDocker = program is "docker";
        if (sandbox.Shell($"command -v {(isDocker ? "dockerd && command -v docker" : "podman")} && command -v crun").ExitCode != 0)
            return $"{program} and crun are not both installed: no container of {program} is tested.";
        (archive, var whyNot) = Make("debian");
        if (archive is null)
            return whyNot;
        if (isDocker)
        {
            sandbox.WriteFile("/opt/docker-runtime", DockerRuntime, "0755");
            sandbox.WriteFile("/etc/docker/daemon.json", DockerConfiguration);
            StartDocker("docker-engine", "unix:///run/docker.sock");
        }
        else
        {
            sandbox.WriteFile("/etc/containers/containers.conf", PodmanConfiguration);
            sandbox.WriteFile("/etc/containers/storage.conf", "[storage]\ndriver = \"overlay\"\ngraphroot = \"/run/containers-test/storage\"\nrunroot = \"/run/containers-test/run\"\n");
            sandbox.Shell(Import).Succeeded();
        }

        return null;
    }

    string Import =>
        $"{program} import --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' --change 'CMD [\"sleep\",\"600\"]' {archive} {Image}";

    /// <summary>Starts a daemon of docker's that has the image, and waits until it answers.</summary>
    internal void StartDocker(string unit, string endpoint, string options = "") => sandbox.Shell($$"""
        export DOCKER_HOST={{endpoint}}
        systemd-run --quiet --unit={{unit}} dockerd --host={{endpoint}} {{options}}
        for i in {1..300}; do ! docker version >/dev/null 2>&1 || break; sleep 0.1; done
        {{Import}} || { journalctl --unit={{unit}} >&2; exit 1; }
        """).Succeeded();

    /// <summary>A token, and an instance that exposes it to a group.</summary>
    internal SoftHsmToken Serve(string name, int groupId, string extra = "")
    {
        var token = sandbox.CreateToken(name);
        sandbox.HsmRemote($"Install-P11KitServer {name} -Group {name} -GroupId {groupId} -TargetUri '{token.Uri}' {extra}").SucceededWithOne();
        return token;
    }

    /// <summary>The same, and a container of that name that has the socket's file mounted in place of its directory.</summary>
    internal void ServeThroughFile(string name, int groupId)
    {
        Serve(name, groupId);
        Start(name, $"--user 5000:5000 --group-add {groupId} --volume /run/{name}/pkcs11:/run/{name}/pkcs11 --env P11_KIT_SERVER_ADDRESS=unix:path=/run/{name}/pkcs11 {Image}");
    }

    /// <summary>What New-P11ContainerConfig writes.</summary>
    internal string Config(string arguments) => sandbox.HsmRemote($"New-P11ContainerConfig {arguments}").SucceededWithOne().GetString()!;

    /// <summary>Runs a script in a container that New-P11ContainerConfig described.</summary>
    internal CommandResult Run(string config, string script, string options = "") =>
        sandbox.Shell($"{program} run --rm --network=none {options} {config} sh -c {Quote(script)}");

    /// <summary>Starts a container that stays.</summary>
    internal void Start(string name, string config) => sandbox.Shell($"{program} run --detach --network=none --name {name} {config}").Succeeded();

    internal CommandResult Exec(string name, string script) => sandbox.Shell($"{program} exec {name} sh -c {Quote(script)}");

    internal static string Quote(string word) => $"'{word.Replace("'", @"'\''", StringComparison.Ordinal)}'";

    /// <summary>A script that lists tokens.</summary>
    internal static string List => $"p11tool --provider {Client} --list-token-urls";

    /// <summary>A script that signs with a token's key and verifies the signature.</summary>
    internal static string Sign(SoftHsmToken token) =>
        $"""
        set -e; cd /tmp; date >message; openssl dgst -sha256 -binary -out digest message
        t="pkcs11-tool --module {Client} --token-label {token.Label}"
        $t --login --pin {token.Pin} --sign --id 01 --mechanism ECDSA --signature-format openssl --input-file digest --output-file signature 2>&1
        $t --read-object --type pubkey --id 01 --output-file key.der
        openssl dgst -sha256 -verify key.der -signature signature message
        """;
}
