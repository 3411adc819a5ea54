using System.Diagnostics;
using System.Management.Automation.Runspaces;
using System.Net.Sockets;
using System.Text;
using HsmRemote.Services.P11KitRpc;
using HsmRemote.Tests;

namespace HsmRemote.Benchmarks;

/// <summary>What a signature costs through a forward, beside one on the socket that it leads to. sshd is on the loopback: what a network adds is its own.</summary>
static class ForwardBenchmark
{
    const string Instance = "forward";
    const string Away = "/run/forward-away.p11";
    const string Pin = "123456";
    const uint Ecdsa = 0x1041;
    const int Port = 2222;

    internal static async Task RunAsync(int rounds)
    {
        SocketBenchmark.Run("softhsm2-util", "--init-token", "--free", "--label", Instance, "--pin", Pin, "--so-pin", "87654321");
        SocketBenchmark.Run(
            "pkcs11-tool", "--module", "/usr/lib/softhsm/libsofthsm2.so", "--token-label", Instance, "--login", "--pin", Pin, "--keypairgen", "--key-type", "EC:prime256v1", "--id", "01");
        SocketBenchmark.Run(
            "sh", "-c",
            $"mkdir -p /run/sshd && install -d -m 0700 /root/.ssh && rm -f /root/.ssh/id_ed25519 && ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519 && cp /root/.ssh/id_ed25519.pub /root/.ssh/authorized_keys"
            + $" && ssh-keygen -A >/dev/null && /usr/sbin/sshd -p {Port} -o ListenAddress=127.0.0.1 && echo \"[127.0.0.1]:{Port} $(cat /etc/ssh/ssh_host_ed25519_key.pub)\" >/root/.ssh/known_hosts");
        using var session = RunspaceFactory.CreateRunspace(InitialSessionState.CreateDefault2());
        session.Open();
        SocketBenchmark.Invoke(
            session, $"Import-Module '{Checkout.Manifest}'; Install-P11KitServer {Instance} -TargetUri 'pkcs11:token={Instance}'; New-P11SocketForward {Instance} 127.0.0.1 -Port {Port} -RemotePath {Away}");

        await using var here = await SignerAsync($"/run/{Instance}/pkcs11");
        await using var away = await SignerAsync(Away);
        Table.Print(
            "A signature (ECDSA, P-256) in a session that is open, through a forward over the loopback",
            SocketBenchmark.Measure([away.Contender("through the forward"), here.Contender("on the socket itself")], rounds), 1);
        Table.Print(
            "From a connection to a signature, through the same",
            SocketBenchmark.Measure([Connection("through the forward", Away), Connection("on the socket itself", $"/run/{Instance}/pkcs11")], rounds, warmUp: 5), 1);
        SocketBenchmark.Invoke(session, $"Remove-P11SocketForward {Instance}-127.0.0.1; Uninstall-P11KitServer {Instance}");
    }

    static Contender Connection(string name, string path) => new(name, () =>
    {
        var started = Stopwatch.GetTimestamp();
        Task.Run(async () =>
        {
            await using var signer = await SignerAsync(path);
            await signer.SignAsync();
        }).GetAwaiter().GetResult();
        return Stopwatch.GetElapsedTime(started);
    });

    static async Task<Signer> SignerAsync(string path)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await socket.ConnectAsync(new UnixDomainSocketEndPoint(path));
        var client = await P11KitRpcClient.ConnectAsync(new NetworkStream(socket, ownsSocket: true), CancellationToken.None);
        await client.InitializeAsync(CancellationToken.None);
        var slot = (await client.GetSlotListAsync(tokenPresent: true, CancellationToken.None))[0];
        var session = await client.OpenSessionAsync(slot, CancellationToken.None);
        await client.LoginAsync(session, Encoding.ASCII.GetBytes(Pin), CancellationToken.None);
        const uint Class = 0x0;
        const ulong PrivateKey = 0x3;
        var key = (await client.FindObjectsAsync(session, [RpcAttribute.FromUlong(Class, PrivateKey)], CancellationToken.None))[0];
        return new Signer(client, session, key);
    }

    /// <summary>A session that is logged in, and a key.</summary>
    sealed class Signer(P11KitRpcClient client, ulong session, ulong key) : IAsyncDisposable
    {
        static readonly byte[] Digest = new byte[32];

        internal Task<byte[]> SignAsync() => client.SignAsync(session, Ecdsa, key, Digest, CancellationToken.None);

        internal Contender Contender(string name) => new(name, () =>
        {
            var started = Stopwatch.GetTimestamp();
            SignAsync().GetAwaiter().GetResult();
            return Stopwatch.GetElapsedTime(started);
        });

        public ValueTask DisposeAsync() => client.DisposeAsync();
    }
}
