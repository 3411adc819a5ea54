using System.Net.Sockets;
using CsCheck;
using HsmRemote.Fuzz;
using HsmRemote.Services.Native;
using HsmRemote.Services.P11KitRpc;
using HsmRemote.Services.Sockets;
using HsmRemote.Tests.P11KitRpc;

namespace HsmRemote.Tests.Sockets;

/// <summary>Whatever the far side does: an end, a cause, little memory, and nothing left behind.</summary>
public sealed class RobustnessTests : IDisposable
{
    const int ClientCases = 90_000;
    const int TestCases = 10_000;

    static readonly TimeSpan Long = TimeSpan.FromMinutes(5);

    readonly SocketDirectory directory = new();

    static CancellationToken Token => TestContext.Current.CancellationToken;

    public void Dispose() => directory.Dispose();

    [Fact]
    public void The_corpus_is_of_whole_conversations()
    {
        Assert.NotEmpty(Conversation.Corpus);
        Assert.All(Conversation.Corpus, conversation => Assert.Null(Judge.OfClient(new(conversation, [], conversation.Turns.Count, PeerEnd.Closes, 4096))));
    }

    [Fact]
    public void The_client_ends_in_bounded_memory_whatever_the_far_side_says() =>
        HostileCase.Any.Sample(hostile => Assert.Null(Judge.OfClient(hostile)), iter: ClientCases);

    [Fact]
    public async Task A_test_ends_with_a_cause_whatever_the_far_side_says()
    {
        using var judge = new Judge();
        var before = GC.GetTotalAllocatedBytes();
        await HostileCase.Brisk.SampleAsync(async hostile => Assert.Null(await judge.OfTestAsync(hostile)), iter: TestCases, threads: 8);
        // Of the whole process, so other tests count too; a single case of many megabytes would still show.
        Assert.InRange((GC.GetTotalAllocatedBytes() - before) / TestCases, 0, Judge.MemoryLimit);
    }

    [Fact]
    public async Task As_many_slots_as_a_server_may_claim_fit_in_memory()
    {
        var server = new CannedServer(new FakeServer([.. Enumerable.Repeat(new FakeToken(new string('x', 32)), RpcLimits.Slots)]));
        // Once, so that what the server keeps is not counted.
        await ReadAsync();
        var before = GC.GetAllocatedBytesForCurrentThread();
        var tokens = await ReadAsync();
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, Judge.MemoryLimit);
        Assert.Equal(RpcLimits.Slots, tokens.Count);

        async Task<IReadOnlyList<Pkcs11Token>> ReadAsync()
        {
            await using var client = await P11KitRpcClient.ConnectAsync(new CannedStream(server), Token);
            return (await RpcTokens.ReadAsync(client, Token)).Tokens;
        }
    }

    [Fact]
    public async Task What_is_read_is_allocated_once()
    {
        const int Overhead = 1024;
        await using var client = await P11KitRpcClient.ConnectAsync(new CannedStream(new CannedServer(new FakeServer())), Token);
        await client.GenerateRandomAsync(1, RpcLimits.Bytes, Token);
        var before = GC.GetAllocatedBytesForCurrentThread();
        var random = await client.GenerateRandomAsync(1, RpcLimits.Bytes, Token);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, random.Length + Overhead);
    }

    /// <summary>A peer that stalls where each check waits for it: in the queue, and then after so many replies.</summary>
    [Theory]
    [InlineData(P11SocketCheckName.Connect, -1)]
    [InlineData(P11SocketCheckName.Peer, 0)]
    [InlineData(P11SocketCheckName.Protocol, 1)]
    [InlineData(P11SocketCheckName.Initialize, 2)]
    [InlineData(P11SocketCheckName.Slots, 3)]
    [InlineData(P11SocketCheckName.Slots, 4)]
    [InlineData(P11SocketCheckName.Slots, 5)]
    public async Task Ctrl_C_ends_it_at_every_rung(P11SocketCheckName check, int replies)
    {
        using var ending = new CancellationTokenSource();
        var stalled = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        using var waiting = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        if (replies < 0)
        {
            directory.Listen(serve: null, backlog: 0);
            await waiting.ConnectAsync(new UnixDomainSocketEndPoint(directory.SocketPath), Token);
            stalled.SetResult();
        }
        else
        {
            directory.Listen(connection => StallAfterAsync(connection, replies, stalled));
        }

        var test = new P11SocketService().TestAsync(new(null, directory.SocketPath), new(), Long, ending.Token);
        await stalled.Task.WaitAsync(Long, Token);
        Assert.False(test.IsCompleted, $"It did not get to {check}.");
        await ending.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => test).WaitAsync(TimeSpan.FromSeconds(20), Token);
    }

    [Fact]
    public async Task Ctrl_C_leaves_a_system_call_behind_that_hangs()
    {
        using var ending = new CancellationTokenSource();
        using var hanging = new ManualResetEventSlim();
        var own = new P11Identity(Accounts.geteuid(), Accounts.getegid(), Accounts.OwnGroups());
        var call = IdentityThread.RunAsync(own, _ => hanging.Wait(Long), ending.Token);
        await ending.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => call).WaitAsync(TimeSpan.FromSeconds(20), Token);
        hanging.Set();
    }

    [Fact]
    public async Task Nothing_is_left_of_ten_thousand_tests()
    {
        const int Tests = 10_000;
        // What the runtime adds by itself meanwhile: workers of the pool, and descriptors of tests beside this one.
        const int Slack = 200;
        using var judge = new Judge();
        var file = Path.Join(directory.FullName, "file");
        await File.WriteAllTextAsync(file, "", Token);
        var whole = Conversation.Corpus.Single(c => c.Name is "one-token");
        HostileCase[] peers = [.. new[] { 0, 1, 2, 4, whole.Turns.Count }.Select(turns => new HostileCase(whole, [], turns, PeerEnd.Closes, 4096))];

        await RunAsync(500);
        var (descriptors, threads, children) = Count();
        await RunAsync(Tests);
        var (descriptorsAfter, threadsAfter, childrenAfter) = Count();
        Assert.InRange(descriptorsAfter, 0, descriptors + Slack);
        Assert.InRange(threadsAfter, 0, threads + Slack);
        Assert.InRange(childrenAfter, 0, children + Slack);

        Task RunAsync(int tests) => Parallel.ForAsync(0, tests, Token, async (i, end) =>
        {
            var which = i % (peers.Length + 2);
            if (which < peers.Length)
                Assert.Null(await judge.OfTestAsync(peers[which]));
            else
                Assert.False((await new P11SocketService().TestAsync(new(null, which == peers.Length ? file : file + "x"), new(), Long, end)).Succeeded);
        });

        static (int Descriptors, int Threads, int Children) Count() => (
            Directory.EnumerateFileSystemEntries("/proc/self/fd").Count(),
            Directory.EnumerateFileSystemEntries("/proc/self/task").Count(),
            Directory.EnumerateDirectories("/proc/self/task").Sum(task =>
            {
                try
                {
                    return File.ReadAllText(Path.Join(task, "children")).Split(' ', StringSplitOptions.RemoveEmptyEntries).Length;
                }
                catch (IOException)
                {
                    // That thread has ended.
                    return 0;
                }
            }));
    }

    static async Task StallAfterAsync(Socket connection, int replies, TaskCompletionSource stalled)
    {
        await using var stream = new NetworkStream(connection);
        var server = new FakeServer(new FakeToken("One"));
        for (var i = 0; i <= replies; i++)
        {
            var request = i == 0 ? new byte[1] : await FakeServer.ReadRequestAsync(stream);
            if (i == 0)
                await stream.ReadExactlyAsync(request);
            if (i == replies)
                break;
            await stream.WriteAsync(i == 0 ? request : server.Reply(request));
        }

        stalled.SetResult();
        // Until the client goes.
        await stream.CopyToAsync(Stream.Null);
    }
}
