using System.Diagnostics;
using System.Net.Sockets;
using System.Text;
using HsmRemote.Services.Sockets;
using HsmRemote.Tests.P11KitRpc;

namespace HsmRemote.Tests.Sockets;

/// <summary>Every cause that can be provoked without root, each for real.</summary>
public sealed class SocketLadderTests : IDisposable
{
    static readonly TimeSpan Long = TimeSpan.FromSeconds(30);
    static readonly TimeSpan Short = TimeSpan.FromSeconds(5);

    readonly SocketDirectory directory = new();

    static CancellationToken Token => TestContext.Current.CancellationToken;

    public void Dispose() => directory.Dispose();

    [Fact]
    public async Task A_server_with_a_token_passes()
    {
        ListenAsP11Kit(new FakeServer(new FakeToken("One")));
        var test = await TestAsync(Long);
        Assert.True(test.Succeeded);
        Assert.Equal((P11SocketCause.None, null, null, null), (test.Cause, test.FailedCheck, test.Explanation, test.Remedy));
        Assert.Equal(Enum.GetValues<P11SocketCheckName>().Where(name => name is not (P11SocketCheckName.Tunnel or P11SocketCheckName.RemoteEnd)), test.Checks.Select(c => c.Name));
        Assert.All(test.Checks, c => Assert.Equal(c.Name < P11SocketCheckName.Login ? P11SocketCheckStatus.Passed : P11SocketCheckStatus.Skipped, c.Status));
        Assert.Equal("One", Assert.Single(test.Tokens).Label);
        Assert.Equal(directory.SocketPath, test.Tokens[0].SocketPath);
        Assert.Equal(0, test.ServerVersion);
        Assert.Contains($"pid={Environment.ProcessId} ", Detail(test, P11SocketCheckName.Peer), StringComparison.Ordinal);
        Assert.Contains("no target is known", Detail(test, P11SocketCheckName.Target), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_path_that_is_missing_is_named_where_it_ends()
    {
        var test = await TestAsync(Long, Path.Join(directory.FullName, "no", "pkcs11"));
        Fails(test, P11SocketCheckName.Path, P11SocketCause.PathMissing);
        Assert.Contains(Path.Join(directory.FullName, "no") + ":", Detail(test, P11SocketCheckName.Path), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_file_on_the_way_is_named()
    {
        await File.WriteAllTextAsync(directory.SocketPath, "", Token);
        var test = await TestAsync(Long, Path.Join(directory.SocketPath, "pkcs11"));
        Fails(test, P11SocketCheckName.Path, P11SocketCause.PathMissing);
        Assert.Contains("a regular file where a directory has to be", Detail(test, P11SocketCheckName.Path), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Symbolic_links_are_followed_to_their_end()
    {
        ListenAsP11Kit(new FakeServer(new FakeToken("One")));
        Directory.CreateDirectory(Path.Join(directory.FullName, "deep"));
        File.CreateSymbolicLink(Path.Join(directory.FullName, "deep", "link"), "../pkcs11");
        File.CreateSymbolicLink(Path.Join(directory.FullName, "absolute"), Path.Join(directory.FullName, "deep"));
        Assert.True((await TestAsync(Long, Path.Join(directory.FullName, "absolute", "link"))).Succeeded);

        File.CreateSymbolicLink(Path.Join(directory.FullName, "round"), "round");
        Fails(await TestAsync(Long, Path.Join(directory.FullName, "round")), P11SocketCheckName.Path, P11SocketCause.PathMissing);
    }

    [Fact]
    public async Task What_is_no_socket_is_named()
    {
        await File.WriteAllTextAsync(directory.SocketPath, "", Token);
        var test = await TestAsync(Long);
        Fails(test, P11SocketCheckName.SocketType, P11SocketCause.NotASocket);
        Assert.Equal("a regular file", Detail(test, P11SocketCheckName.SocketType));
    }

    [Fact]
    public async Task A_socket_that_nobody_listens_on_is_stale()
    {
        directory.Listen(serve: null).Dispose();
        // .NET removes the file with the listener; a server that was killed does not.
        using var left = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        left.Bind(new UnixDomainSocketEndPoint(directory.SocketPath));
        Fails(await TestAsync(Long), P11SocketCheckName.Connect, P11SocketCause.NobodyListening);
    }

    [Fact]
    public async Task A_socket_of_another_type_is_no_p11_kit()
    {
        using var datagrams = new Socket(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);
        datagrams.Bind(new UnixDomainSocketEndPoint(directory.SocketPath));
        Fails(await TestAsync(Long), P11SocketCheckName.Connect, P11SocketCause.NotP11Kit);
    }

    [Fact]
    public async Task A_full_queue_is_told_from_silence()
    {
        directory.Listen(serve: null, backlog: 0);
        using var waiting = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await waiting.ConnectAsync(new UnixDomainSocketEndPoint(directory.SocketPath), Token);
        Fails(await TestAsync(Short), P11SocketCheckName.Connect, P11SocketCause.NeverAccepted);
    }

    [Fact]
    public async Task A_queue_that_empties_in_time_is_no_failure()
    {
        var server = new FakeServer(new FakeToken("One"));
        var listener = directory.Listen(serve: null, backlog: 0);
        using var waiting = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await waiting.ConnectAsync(new UnixDomainSocketEndPoint(directory.SocketPath), Token);
        var test = TestAsync(Long);
        await Task.Delay(100, Token);
        (await listener.AcceptAsync(Token)).Dispose();
        using var accepted = await listener.AcceptAsync(Token);
        await using var stream = new NetworkStream(accepted);
        _ = server.ServeAsync(stream);
        Assert.True((await test).Succeeded);
    }

    [Fact]
    public async Task A_connection_that_is_closed_at_once_was_refused()
    {
        directory.Listen(_ => Task.CompletedTask);
        Fails(await TestAsync(Long), P11SocketCheckName.Peer, P11SocketCause.ClosedByPeer);
    }

    [Fact]
    public async Task A_connection_that_is_closed_at_once_by_an_instance_without_target_says_so()
    {
        directory.Listen(_ => Task.CompletedTask);
        Fails(await TestTargetAsync([]), P11SocketCheckName.Peer, P11SocketCause.NoTarget);
    }

    [Theory]
    [InlineData("HTTP/1.1 400 Bad Request\r\n\r\n")]
    [InlineData("SSH-2.0-OpenSSH_9.2p1\r\n")]
    [InlineData("\u0015\u0003\u0003\u0000\u0002\u0002\u0032")]
    public async Task Another_protocol_is_no_p11_kit(string greeting)
    {
        directory.Listen(async s => await s.SendAsync(Encoding.Latin1.GetBytes(greeting)));
        Fails(await TestAsync(Long), P11SocketCheckName.Protocol, P11SocketCause.NotP11Kit);
    }

    [Fact]
    public async Task An_echo_is_no_p11_kit()
    {
        directory.Listen(EchoAsync);
        Fails(await TestAsync(Long), P11SocketCheckName.Protocol, P11SocketCause.NotP11Kit);
    }

    [Fact]
    public async Task Silence_ends_with_the_time_given()
    {
        directory.Listen(_ => Task.Delay(Timeout.Infinite, Token));
        var started = Stopwatch.GetTimestamp();
        Fails(await TestAsync(Short), P11SocketCheckName.Protocol, P11SocketCause.Silent);
        Assert.InRange(Stopwatch.GetElapsedTime(started), Short * 0.9, Short + TimeSpan.FromSeconds(20));
    }

    [Theory]
    [InlineData(3u, P11SocketCheckName.Initialize)]
    [InlineData(6u, P11SocketCheckName.Slots)]
    public async Task Silence_is_found_at_any_rung(uint lastCall, P11SocketCheckName check)
    {
        var server = new FakeServer(new FakeToken("One"));
        directory.Listen(s => ServeTamperedAsync(s, server, reply => server.Calls[^1] == lastCall ? [] : reply));
        Fails(await TestAsync(Short), check, P11SocketCause.Silent);
    }

    [Fact]
    public async Task A_reply_that_is_too_long_is_malformed()
    {
        var server = new FakeServer(new FakeToken("One"));
        directory.Listen(s => ServeTamperedAsync(s, server, reply => server.Calls[^1] == 4 ? [.. reply[..8], 0xFF, 0xFF, 0xFF, 0xFF, .. reply[12..]] : reply));
        Fails(await TestAsync(Long), P11SocketCheckName.Slots, P11SocketCause.MalformedReply);
    }

    [Fact]
    public async Task A_connection_that_ends_in_a_reply_is_lost()
    {
        var server = new FakeServer(new FakeToken("One"));
        directory.Listen(async s =>
        {
            await using var stream = new NetworkStream(s);
            await stream.ReadExactlyAsync(new byte[1]);
            await stream.WriteAsync(new byte[1]);
            var request = await FakeServer.ReadRequestAsync(stream);
            await stream.WriteAsync(server.Reply(request).AsMemory(0, 9));
        });
        Fails(await TestAsync(Long), P11SocketCheckName.Protocol, P11SocketCause.ConnectionLost);
    }

    [Theory]
    [InlineData(1u, P11SocketCheckName.Initialize, "C_Initialize: CKR_DEVICE_ERROR")]
    [InlineData(4u, P11SocketCheckName.Slots, "C_GetSlotList: CKR_DEVICE_ERROR")]
    [InlineData(6u, P11SocketCheckName.Slots, "C_GetTokenInfo: CKR_DEVICE_ERROR")]
    public async Task A_PKCS11_error_has_its_name(uint call, P11SocketCheckName check, string detail)
    {
        ListenAsP11Kit(new FakeServer(new FakeToken("One")) { Errors = { [call] = 0x30 } });
        var test = await TestAsync(Long);
        Fails(test, check, P11SocketCause.Pkcs11Error);
        Assert.Equal(detail, Detail(test, check));
    }

    [Fact]
    public async Task No_token_is_no_slots()
    {
        ListenAsP11Kit(new FakeServer());
        Fails(await TestAsync(Long), P11SocketCheckName.Slots, P11SocketCause.NoSlots);
        Fails(await TestTargetAsync(["pkcs11:token=One"]), P11SocketCheckName.Slots, P11SocketCause.NoSlots);
        Fails(await TestTargetAsync([]), P11SocketCheckName.Slots, P11SocketCause.NoTarget);
    }

    [Fact]
    public async Task Every_target_has_to_be_there()
    {
        ListenAsP11Kit(new FakeServer(new FakeToken("One"), new FakeToken("Two", Serial: "0002")));
        Assert.True((await TestTargetAsync(["pkcs11:token=One", "pkcs11:serial=0002"])).Succeeded);

        var test = await TestTargetAsync(["pkcs11:token=One", "pkcs11:manufacturer=ACME;serial=0003;token=Two"]);
        Fails(test, P11SocketCheckName.Target, P11SocketCause.TargetNotFound);
        Assert.Equal("'Two' is there; its serial=0002, not serial=0003", Detail(test, P11SocketCheckName.Target));
        Assert.Contains("pkcs11:manufacturer=ACME;serial=0003;token=Two", test.Explanation, StringComparison.Ordinal);
        Assert.Equal(2, test.Tokens.Count);
    }

    [Fact]
    public async Task An_attribute_that_no_token_has_is_named()
    {
        ListenAsP11Kit(new FakeServer(new FakeToken("One")));
        var test = await TestTargetAsync(["pkcs11:token=One;object=key"]);
        Fails(test, P11SocketCheckName.Target, P11SocketCause.TargetNotFound);
        Assert.Equal("'One' is there; 'object' is no attribute of a token, so nothing matches it", Detail(test, P11SocketCheckName.Target));
    }

    [Fact]
    public async Task A_token_that_is_not_initialised_is_no_target()
    {
        ListenAsP11Kit(new FakeServer(new FakeToken("", Flags: 0)));
        Fails(await TestAsync(Long), P11SocketCheckName.Target, P11SocketCause.TokenNotInitialized);
        Fails(await TestTargetAsync(["pkcs11:model=T1"]), P11SocketCheckName.Target, P11SocketCause.TokenNotInitialized);
    }

    [Fact]
    public async Task A_token_that_no_target_asks_for_is_too_much()
    {
        ListenAsP11Kit(new FakeServer(new FakeToken("One"), new FakeToken("Two", Serial: "0002")));
        var test = await TestTargetAsync(["pkcs11:token=One"]);
        Fails(test, P11SocketCheckName.Target, P11SocketCause.ExposesMore);
        Assert.Contains("serial=0002", test.Explanation, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_target_that_fits_several_tokens_is_a_warning()
    {
        ListenAsP11Kit(new FakeServer(new FakeToken("One"), new FakeToken("Two", Serial: "0002")));
        var test = await TestTargetAsync(["pkcs11:manufacturer=ACME"]);
        Assert.True(test.Succeeded);
        Assert.Equal((P11SocketCause.SeveralMatches, null), (test.Cause, test.FailedCheck));
        Assert.Contains("fits 2 tokens:", test.Explanation, StringComparison.Ordinal);
        Assert.NotNull(test.Remedy);
    }

    [Fact]
    public async Task A_path_that_no_socket_can_have_is_refused()
    {
        var error = await Assert.ThrowsAsync<HsmRemoteException>(() => TestAsync(Long, "/" + new string('x', 107)));
        Assert.Equal(("SocketPathTooLong", FailureKind.InvalidArgument), (error.ErrorId, error.Kind));
    }

    void ListenAsP11Kit(FakeServer server) => directory.Listen(s => ServeTamperedAsync(s, server, reply => reply));

    static async Task ServeTamperedAsync(Socket connection, FakeServer server, Func<byte[], byte[]> tamper)
    {
        await using var stream = new NetworkStream(connection);
        var version = new byte[1];
        await stream.ReadExactlyAsync(version);
        await stream.WriteAsync(version);
        while (await FakeServer.ReadRequestAsync(stream) is { } request)
            await stream.WriteAsync(tamper(server.Reply(request)));
    }

    static async Task EchoAsync(Socket connection)
    {
        await using var stream = new NetworkStream(connection);
        await stream.CopyToAsync(stream);
    }

    Task<P11SocketTest> TestAsync(TimeSpan timeout, string? path = null) =>
        new P11SocketService().TestAsync(new(null, path ?? directory.SocketPath), new P11IdentityRequest(), timeout, Token);

    Task<P11SocketTest> TestTargetAsync(string[] target) =>
        new P11SocketService().TestAsync(
            new("edge", directory.SocketPath, [.. target.Select(Pkcs11Uri.Parse)]), new P11IdentityRequest(), Long, Token);

    static void Fails(P11SocketTest test, P11SocketCheckName check, P11SocketCause cause)
    {
        Assert.Equal((check, cause), (test.FailedCheck, test.Cause));
        Assert.False(test.Succeeded);
        Assert.NotNull(test.Explanation);
        Assert.NotNull(test.Remedy);
        Assert.All(test.Checks, c => Assert.Equal(
            c.Name < check ? P11SocketCheckStatus.Passed : c.Name == check ? P11SocketCheckStatus.Failed : P11SocketCheckStatus.Skipped, c.Status));
    }

    static string Detail(P11SocketTest test, P11SocketCheckName check) => test.Checks.Single(c => c.Name == check).Detail;
}
