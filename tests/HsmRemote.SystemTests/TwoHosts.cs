using System.Diagnostics;

namespace HsmRemote.SystemTests;

/// <summary>Two sandboxes with a network of their own between them, a token on one and sshd on the other.</summary>
/// <remarks>
/// The link is a pair of veth interfaces, made in the two namespaces at once, so that nothing of it is ever in the machine's
/// own network; it goes with them.
/// </remarks>
public sealed class TwoHosts : IAsyncLifetime
{
    /// <summary>The address of the host with the token, in its namespace and that of the other only.</summary>
    internal const string NearAddress = "10.99.0.1";

    /// <summary>The address of the host with the containers.</summary>
    internal const string FarAddress = "10.99.0.2";

    internal const string Instance = "edge";
    internal const int GroupId = 4711;

    readonly Lock preparation = new();
    SoftHsmToken? token;

    /// <summary>The host with the token.</summary>
    internal SandboxFixture Near { get; } = new();

    /// <summary>The host with sshd, where the token is needed.</summary>
    internal SandboxFixture Far { get; } = new();

    /// <summary>The token of the instance 'edge', which is there as soon as this was asked for.</summary>
    internal SoftHsmToken Token
    {
        get
        {
            lock (preparation)
                return token ??= Prepare();
        }
    }

    public async ValueTask InitializeAsync() => await Task.WhenAll(Near.InitializeAsync().AsTask(), Far.InitializeAsync().AsTask());

    public async ValueTask DisposeAsync() => await Task.WhenAll(Near.DisposeAsync().AsTask(), Far.DisposeAsync().AsTask());

    /// <summary>Runs PowerShell on the host with the token.</summary>
    internal HsmRemoteResult HsmRemote(string command)
    {
        _ = Token;
        return Near.HsmRemote(command);
    }

    /// <summary>Starts another sshd on the far side.</summary>
    internal void StartSshd(int port, string options = "")
    {
        _ = Token;
        RunSshd(port, options);
        Near.Shell($"echo \"[{FarAddress}]:{port} $(cut -d' ' -f2- <<<'{HostKey()}')\" >>/root/.ssh/known_hosts").Succeeded();
    }

    /// <summary>A host name and a key, as a line of known_hosts.</summary>
    internal string HostKey() => $"{FarAddress} {string.Join(' ', Far.Shell("cat /etc/ssh/ssh_host_ed25519_key.pub").Succeeded().Split(' ').Take(2))}";

    /// <summary>Cuts the link and, later, mends it.</summary>
    internal void SetLink(bool up) => Near.Shell($"ip link set fwd {(up ? "up" : "down")}").Succeeded();

    /// <summary>
    /// Mends the link with another address of the host with the token: what was connected before never hears of its end.
    /// </summary>
    internal void MendLinkAs(string address)
    {
        Near.Shell($"ip addr flush dev fwd; ip addr add {address}/24 dev fwd").Succeeded();
        SetLink(up: true);
    }

    /// <summary>A script that lists the tokens behind a socket.</summary>
    internal static string List(string socket) => $"P11_KIT_SERVER_ADDRESS=unix:path={socket} p11tool --provider {ContainerHost.Client} --list-token-urls";

    /// <summary>Waits until a script on the far side shows the token. It fails after a while that no machine needs.</summary>
    internal TimeSpan UntilTokenIsSeen(string script)
    {
        var started = Stopwatch.GetTimestamp();
        CommandResult last;
        do
        {
            last = Far.Shell($"timeout 10 bash -c '{script}' || true");
            if (last.StdOut.Contains($"token={Token.Label}", StringComparison.Ordinal))
                return Stopwatch.GetElapsedTime(started);
            Thread.Sleep(TimeSpan.FromMilliseconds(200));
        }
        while (Stopwatch.GetElapsedTime(started) < TimeSpan.FromMinutes(2));
        Assert.Fail($"The token has not come back.\n{last}\n{Near.Shell("journalctl --no-pager -u 'p11-forward-*' -n 40; cat /run/p11-forward-*/state").StdOut}");
        return default;
    }

    SoftHsmToken Prepare()
    {
        if (Near.Shell("command -v ssh").ExitCode != 0 || Far.Shell("test -x /usr/sbin/sshd").ExitCode != 0)
            Assert.Skip("openssh-client and openssh-server are not both installed: no forward is tested.");
        Join();
        Near.Shell("install -d -m 0700 /root/.ssh; ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519").Succeeded();
        var key = Near.Shell("cat /root/.ssh/id_ed25519.pub").Succeeded();
        Far.Shell($"install -d -m 0700 /root/.ssh; echo '{key}' >/root/.ssh/authorized_keys; groupadd -g {GroupId} hsm; ssh-keygen -A >/dev/null").Succeeded();
        StartSshd();
        Near.Shell($"echo '{HostKey()}' >/root/.ssh/known_hosts").Succeeded();
        var made = Near.CreateToken(Instance);
        Near.HsmRemote($"Install-P11KitServer {Instance} -TargetUri '{made.Uri}'").SucceededWithOne();
        return made;
    }

    /// <summary>Makes the network between the two, anew when one of them was rebooted.</summary>
    internal void Join()
    {
        // What a reboot leaves of the one before goes a moment later.
        CommandResult add;
        var attempts = 0;
        while ((add = CommandResult.Of(TimeSpan.FromSeconds(10), "", "ip", ["link", "add", "fwd", "netns", Id(Near), "type", "veth", "peer", "name", "fwd", "netns", Id(Far)])).StdErr.Contains("File exists", StringComparison.Ordinal) && ++attempts < 100)
            Thread.Sleep(TimeSpan.FromMilliseconds(100));
        Assert.SkipWhen(add.ExitCode != 0, $"Two sandboxes cannot be joined here: {add.StdErr.Trim()}");
        Near.Shell($"ip addr add {NearAddress}/24 dev fwd; ip link set fwd up").Succeeded();
        Far.Shell($"ip addr add {FarAddress}/24 dev fwd; ip link set fwd up").Succeeded();
    }

    /// <summary>Starts the sshd that all forwards but those of <see cref="StartSshd(int, string)"/> reach.</summary>
    internal void StartSshd()
    {
        Far.Shell("mkdir -p /run/sshd; rm -f /run/nologin").Succeeded();
        RunSshd(22, "-o PidFile=/run/sshd.pid");
    }

    /// <summary>Starts an sshd on the far side whose key nobody is told. It goes into the background before it listens.</summary>
    internal void RunSshd(int port, string options = "")
    {
        Far.Shell($"/usr/sbin/sshd -p {port} {options}").Succeeded();
        Far.WaitFor($"grep -q ':{port:X4} 00000000:0000 0A' /proc/net/tcp");
    }

    static string Id(SandboxFixture sandbox) => sandbox.Outside("").Split('/')[2];
}
