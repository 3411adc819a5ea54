using System.Diagnostics;
using System.Net.Sockets;
using HsmRemote.Services.P11KitRpc;

namespace HsmRemote.SystemTests;

/// <summary>Many connections, one after another, at once, and from a client that has lost its mind.</summary>
/// <remarks>Not beside other tests: these take the machine for themselves, and the deadlines of those are not made for that.</remarks>
[Collection(nameof(LoadTests))]
[CollectionDefinition(nameof(LoadTests), DisableParallelization = true)]
public sealed class LoadTests(OwnSandbox host) : IClassFixture<OwnSandbox>
{
    // What a connection may take on a machine that does a hundred other things.
    static readonly TimeSpan Patience = SandboxFixture.DefaultDeadline;

    readonly SandboxFixture sandbox = host.Fixture;

    [Theory]
    [InlineData("load-sequence", "")]
    public async Task A_thousand_connections_one_after_another_and_none_is_lost(string name, string mode)
    {
        var socket = Install(name, mode);
        for (var i = 0; i < 1000; i++)
        {
            await using var client = await ConnectAsync(socket);
            Assert.Equal(name, await ListAsync(client));
        }

        await AssertServesAsync(name, socket);
    }

    [Theory]
    [InlineData("load-crowd", "")]
    public async Task Two_hundred_at_once_all_get_the_token(string name, string mode)
    {
        const int Crowd = 200;
        var socket = Install(name, mode);
        var clients = await Task.WhenAll(Enumerable.Range(0, Crowd).Select(_ => ConnectAsync(socket)));
        try
        {
            Assert.All(await Task.WhenAll(clients.Select(ListAsync)), label => Assert.Equal(name, label));
            // All of them are still there.
            Assert.Equal($"{Crowd}", sandbox.Shell("ps -e -o args | grep -c '^/[^ ]*p11-kit-remote\\|^/[^ ]*p11-kit remote\\|^remote '").Succeeded());
        }
        finally
        {
            foreach (var client in clients)
                await client.DisposeAsync();
        }

        await AssertServesAsync(name, socket);
    }

    [Theory]
    [InlineData("load-loop", "", true)]
    [InlineData("load-hang-up", "", false)]
    public async Task A_client_that_connects_in_a_loop_does_not_stop_the_socket(string name, string mode, bool talks)
    {
        var socket = Install(name, mode);
        var length = talks ? TimeSpan.FromMinutes(1) : TimeSpan.FromSeconds(15);
        var connections = 0;
        for (var started = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(started) < length; connections++)
        {
            if (talks)
            {
                await using var client = await ConnectAsync(socket);
                Assert.Equal(name, await ListAsync(client));
            }
            else
            {
                // As fast as the queue takes them, and not a byte.
                using var abandoned = await OpenAsync(socket);
            }
        }

        TestContext.Current.SendDiagnosticMessage($"{name}: {connections} connections in {length.TotalSeconds} s");
        Assert.True(connections > 1);
        // Those that hung up before they were served are in the way, up to the limit, until each has had its turn.
        await WaitForLeisureAsync(name);
        await AssertServesAsync(name, socket);
    }

    string Install(string name, string mode)
    {
        var token = sandbox.CreateToken(name);
        sandbox.HsmRemote($"Install-P11KitServer {name} {mode} -TargetUri '{token.Uri}'").SucceededWithOne();
        return sandbox.Outside($"/run/{name}/pkcs11");
    }

    async Task AssertServesAsync(string name, string socket)
    {
        Assert.Equal("active", sandbox.Run("systemctl", "is-active", $"{name}.socket").Succeeded());
        await using (var client = await ConnectAsync(socket))
            Assert.Equal(name, await ListAsync(client));
        Assert.Equal("", sandbox.Run("systemctl", "list-units", "--failed", "--plain", "--no-legend", $"{name}*").Succeeded());
        Assert.DoesNotContain(
            "Trigger limit hit", sandbox.Run("journalctl", "-u", $"{name}.socket", "--output=cat").Succeeded(), StringComparison.OrdinalIgnoreCase);
    }

    async Task WaitForLeisureAsync(string name)
    {
        using var patience = Patient();
        while (sandbox.Run("systemctl", "show", "-P", "NConnections", $"{name}.socket").Succeeded() is not "0")
            await Task.Delay(500, patience.Token);
    }

    static async Task<P11KitRpcClient> ConnectAsync(string path)
    {
        using var patience = Patient();
        var socket = await OpenAsync(path);
        var client = await P11KitRpcClient.ConnectAsync(new NetworkStream(socket, ownsSocket: true), patience.Token);
        await client.InitializeAsync(patience.Token);
        return client;
    }

    static async Task<string> ListAsync(P11KitRpcClient client)
    {
        using var patience = Patient();
        var (tokens, _) = await RpcTokens.ReadAsync(client, patience.Token);
        return Assert.Single(tokens).Label;
    }

    static async Task<Socket> OpenAsync(string path)
    {
        using var patience = Patient();
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        while (true)
        {
            try
            {
                await socket.ConnectAsync(new UnixDomainSocketEndPoint(path), patience.Token);
                return socket;
            }
            catch (SocketException e) when (e.SocketErrorCode is SocketError.WouldBlock or SocketError.TryAgain)
            {
                // The queue is full: .NET's sockets do not wait for that as a blocking one does.
                await Task.Delay(5, patience.Token);
            }
        }
    }

    static CancellationTokenSource Patient()
    {
        var source = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        source.CancelAfter(Patience);
        return source;
    }
}
