using System.Diagnostics;
using System.Net.Sockets;
using HsmRemote.Services.P11KitRpc;
using HsmRemote.Tests.P11KitRpc;

namespace HsmRemote.Benchmarks;

/// <summary>What the client itself costs: the server is in this process and answers from memory.</summary>
static class ClientBenchmark
{
    const int Small = 32;
    const int Large = RpcLimits.Bytes;

    static readonly TimeSpan Length = TimeSpan.FromSeconds(1);

    static readonly (string Name, Func<P11KitRpcClient, Task> Call)[] Calls =
    [
        ("C_GetSlotList", client => client.GetSlotListAsync(tokenPresent: true, CancellationToken.None)),
        ("C_GetTokenInfo", client => client.GetTokenInfoAsync(17, CancellationToken.None)),
        ($"C_GenerateRandom, {Small} bytes", client => client.GenerateRandomAsync(1, Small, CancellationToken.None)),
        ($"C_GenerateRandom, {Large} bytes", client => client.GenerateRandomAsync(1, Large, CancellationToken.None)),
    ];

    internal static async Task RunAsync()
    {
        Console.WriteLine("\nThe client, with a server in the same process that answers from memory\n");
        Console.WriteLine($"  {"",-40}{"calls/s",10}{"bytes allocated a call",26}");
        foreach (var (name, call) in Calls)
        {
            await using var client = await P11KitRpcClient.ConnectAsync(new CannedStream(Server()), CancellationToken.None);
            await MeasureAsync($"{name}, a stream", client, call);
        }

        foreach (var (name, call) in Calls)
        {
            var (own, far) = Pair();
            var thread = new Thread(() => Serve(far, Server())) { IsBackground = true };
            thread.Start();
            await using (var client = await P11KitRpcClient.ConnectAsync(new NetworkStream(own, ownsSocket: true), CancellationToken.None))
                await MeasureAsync($"{name}, a socket", client, call);
            thread.Join();
        }
    }

    static CannedServer Server() => new(new FakeServer(new FakeToken("One")));

    static async Task MeasureAsync(string name, P11KitRpcClient client, Func<P11KitRpcClient, Task> call)
    {
        // Long enough for the second tier of the compiler.
        await LoopAsync(client, call);
        var before = GC.GetTotalAllocatedBytes(precise: true);
        var calls = await LoopAsync(client, call);
        var allocated = GC.GetTotalAllocatedBytes(precise: true) - before;
        Console.WriteLine($"  {name,-40}{calls / Length.TotalSeconds,10:F0}{allocated / (double)calls,26:F0}");
    }

    static async Task<long> LoopAsync(P11KitRpcClient client, Func<P11KitRpcClient, Task> call)
    {
        var started = Stopwatch.GetTimestamp();
        long calls = 0;
        for (; Stopwatch.GetElapsedTime(started) < Length; calls++)
            await call(client);
        return calls;
    }

    static (Socket Own, Socket Far) Pair()
    {
        var directory = Directory.CreateTempSubdirectory("hsmremote-");
        try
        {
            var address = new UnixDomainSocketEndPoint(Path.Combine(directory.FullName, "s"));
            using var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            listener.Bind(address);
            listener.Listen();
            var own = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            own.Connect(address);
            return (own, listener.Accept());
        }
        finally
        {
            directory.Delete(recursive: true);
        }
    }

    // Blocking, on a thread of its own, as p11-kit's is.
    static void Serve(Socket far, CannedServer server)
    {
        using (far)
        {
            var request = new byte[4096];
            if (far.Receive(request.AsSpan(0, 1)) == 1)
                far.Send(request.AsSpan(0, 1));
            // A client that waits for each answer sends one request at a time.
            while (far.Receive(request) is > 0 and var length)
                far.Send(server.Reply(request.AsSpan(0, length)).Span);
        }
    }
}
