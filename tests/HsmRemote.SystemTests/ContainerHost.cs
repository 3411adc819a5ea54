namespace HsmRemote.SystemTests;

/// <summary>podman in the sandbox, with an image of Debian that has p11-kit's client and programs that use it.</summary>
/// <remarks>
/// The image comes from tests/container-image.sh and is imported once. Its storage is in memory, where overlays work. Where
/// the image cannot be made, the first use skips the test and says why.
/// </remarks>
sealed class ContainerHost
{
    /// <summary>The image's name.</summary>
    internal const string Image = "localhost/debian:hsmremote";

    /// <summary>The PKCS #11 module in it.</summary>
    internal const string Client = "/usr/lib/x86_64-linux-gnu/pkcs11/p11-kit-client.so";

    // A sandbox delegates no control groups and allows no raising of limits.
    const string Configuration = """
        [containers]
        cgroups = "disabled"
        default_ulimits = []
        [engine]
        runtime = "crun"
        cgroup_manager = "cgroupfs"
        events_logger = "none"

        """;

    static readonly Lock Preparation = new();
    static readonly HashSet<SandboxFixture> Prepared = [];
    static string? archive;
    static string? whyNot;
    readonly SandboxFixture sandbox;

    internal ContainerHost(SandboxFixture sandbox)
    {
        this.sandbox = sandbox;
        lock (Preparation)
        {
            if (whyNot is null && Prepared.Add(sandbox))
                Prepare();
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

    void Prepare()
    {
        if (sandbox.Shell("command -v podman && command -v crun").ExitCode != 0)
        {
            whyNot = "podman and crun are not both installed: no container is tested.";
            return;
        }

        (archive, whyNot) = Make("debian");
        if (archive is null)
            return;
        sandbox.WriteFile("/etc/containers/containers.conf", Configuration);
        sandbox.WriteFile("/etc/containers/storage.conf", "[storage]\ndriver = \"overlay\"\ngraphroot = \"/run/containers-test/storage\"\nrunroot = \"/run/containers-test/run\"\n");
        sandbox.Shell(
            $"podman import --quiet --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' --change 'CMD [\"sleep\",\"600\"]' {archive} {Image}").Succeeded();
    }

    /// <summary>A token, and an instance that exposes it to a group.</summary>
    internal SoftHsmToken Serve(string name, int groupId, string extra = "")
    {
        var token = sandbox.CreateToken(name);
        sandbox.HsmRemote($"Install-P11KitServer {name} -Group {name} -GroupId {groupId} -TargetUri '{token.Uri}' {extra}").SucceededWithOne();
        return token;
    }

    /// <summary>What New-P11ContainerConfig writes.</summary>
    internal string Config(string arguments) => sandbox.HsmRemote($"New-P11ContainerConfig {arguments}").SucceededWithOne().GetString()!;

    /// <summary>Runs a script in a container that New-P11ContainerConfig described.</summary>
    internal CommandResult Run(string config, string script, string options = "") =>
        sandbox.Shell($"podman run --rm --network=none {options} {config} sh -c {Quote(script)}");

    /// <summary>Starts a container that stays.</summary>
    internal void Start(string name, string config) => sandbox.Shell($"podman run --detach --network=none --name {name} {config}").Succeeded();

    internal CommandResult Exec(string name, string script) => sandbox.Shell($"podman exec {name} sh -c {Quote(script)}");

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
