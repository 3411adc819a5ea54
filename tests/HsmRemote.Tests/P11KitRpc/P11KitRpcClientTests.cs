using System.Buffers.Binary;
using System.IO.Pipes;
using HsmRemote.Services.P11KitRpc;
using HsmRemote.Services.Pkcs11;

namespace HsmRemote.Tests.P11KitRpc;

public class P11KitRpcClientTests
{
    static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Every_call_gives_what_the_server_has()
    {
        var server = new FakeServer(new FakeToken("One"), new FakeToken("Two", Serial: "0002"));
        await using var client = await P11KitRpcClient.ConnectAsync(new ServerStream(server) { ReadLimit = 3 }, Token);
        Assert.Equal(0, client.Version);
        await client.InitializeAsync(Token);

        var info = await client.GetInfoAsync(Token);
        Assert.Equal(new Version(2, 40), info.CryptokiVersion);
        Assert.Equal(new Version(1, 2), info.LibraryVersion);
        Assert.StartsWith("Fake ", System.Text.Encoding.ASCII.GetString(info.LibraryDescription), StringComparison.Ordinal);

        Assert.Equal([17, 18], await client.GetSlotListAsync(tokenPresent: true, Token));
        var slot = await client.GetSlotInfoAsync(17, Token);
        var token = (await client.GetTokenInfoAsync(18, Token)).ToToken(18, slot, socketPath: "/run/x/pkcs11");
        Assert.Equal("pkcs11:model=T1;manufacturer=ACME;serial=0002;token=Two", token.Uri.ToString());
        Assert.Equal(("Two", "ACME", "T1", "0002"), (token.Label, token.Manufacturer, token.Model, token.SerialNumber));
        Assert.Equal(("Reader", "ACME", Pkcs11SlotFlags.TokenPresent | Pkcs11SlotFlags.HardwareSlot), (token.SlotDescription, token.SlotManufacturer, token.SlotFlags));
        Assert.Equal((0ul, (ulong?)null, 0ul, (ulong?)null), (token.MaxSessionCount, token.SessionCount, token.MaxReadWriteSessionCount, token.ReadWriteSessionCount));
        Assert.Equal((16ul, 4ul), (token.MaxPinLength, token.MinPinLength));
        Assert.Equal((1000ul, 900ul, (ulong?)null, (ulong?)null), (token.TotalPublicMemory, token.FreePublicMemory, token.TotalPrivateMemory, token.FreePrivateMemory));
        Assert.Equal((new Version(2, 6), new Version(3, 1)), (token.HardwareVersion, token.FirmwareVersion));
        Assert.Equal((18ul, "/run/x/pkcs11", (DateTimeOffset?)null), (token.SlotId, token.SocketPath, token.UtcTime));
        Assert.True(token.IsInitialized);

        Assert.Equal([1, 0x1041], await client.GetMechanismListAsync(17, Token));
        Assert.Equal(new RawMechanismInfo(256, 521, 0x2800), await client.GetMechanismInfoAsync(17, 0x1041, Token));
        await client.FinalizeAsync(Token);
        Assert.Equal([1, 3, 4, 5, 6, 7, 8, 2], server.Calls);
    }

    [Fact]
    public async Task A_clock_is_believed_only_when_the_token_says_that_it_has_one()
    {
        const ulong ClockOnToken = 0x40;
        Assert.Equal(new DateTimeOffset(2026, 3, 1, 12, 30, 59, TimeSpan.Zero), (await ReadTokenAsync(new FakeToken("T", Flags: ClockOnToken) { UtcTime = "2026030112305900" })).UtcTime);
        Assert.Null((await ReadTokenAsync(new FakeToken("T") { UtcTime = "2026030112305900" })).UtcTime);
        Assert.Null((await ReadTokenAsync(new FakeToken("T", Flags: ClockOnToken) { UtcTime = "2026990112305900" })).UtcTime);
    }

    [Fact]
    public async Task NULs_are_left_out_of_the_label_and_kept_in_the_URI()
    {
        var token = await ReadTokenAsync(new FakeToken("Nul") { Padding = '\0' });
        Assert.Equal("Nul", token.Label);
        Assert.EndsWith("token=Nul" + string.Concat(Enumerable.Repeat("%00", 29)), token.Uri.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_error_of_the_far_side_has_its_name_and_leaves_the_connection_usable()
    {
        var server = new FakeServer(new FakeToken("One")) { Errors = { [5] = 0x30 } };
        await using var client = await P11KitRpcClient.ConnectAsync(new ServerStream(server), Token);
        var error = await Assert.ThrowsAsync<Pkcs11ErrorException>(() => client.GetSlotInfoAsync(17, Token));
        Assert.Equal(("C_GetSlotInfo", "CKR_DEVICE_ERROR", 0x30ul), (error.Function, error.Name, error.ReturnValue));
        Assert.Single(await client.GetSlotListAsync(tokenPresent: false, Token));
    }

    [Fact]
    public async Task Initialize_is_sent_once()
    {
        await using var client = await P11KitRpcClient.ConnectAsync(new ServerStream(new FakeServer()), Token);
        await client.InitializeAsync(Token);
        await Assert.ThrowsAsync<InvalidOperationException>(() => client.InitializeAsync(Token));
    }

    [Theory]
    [InlineData(0, 0x10u, "call code 16")]
    [InlineData(4, 0xFFFFFFFFu, "at most 1048576 bytes")]
    [InlineData(8, 0xFFFFFFFFu, "at most 1048576 bytes")]
    [InlineData(8, 0x00100001u, "at most 1048576 bytes")]
    [InlineData(12, 9u, "call number 4")]
    [InlineData(16, 0xFFFFFFFFu, "a signature within the reply")]
    [InlineData(16, 1u, "signature 'au'")]
    [InlineData(23, 0xFFFFFFFFu, "at most 1024 numbers")]
    [InlineData(23, 5000u, "at most 1024 numbers")]
    [InlineData(23, 1024u, "1024 numbers")]
    [InlineData(23, 0u, "the end of the reply")]
    public async Task A_number_that_is_wrong_is_named_with_its_offset(int offset, uint value, string expected)
    {
        var tampered = new ServerStream(new FakeServer(new FakeToken("One")), reply =>
        {
            // The code 16 belongs to the first call; this is made for any other.
            BinaryPrimitives.WriteUInt32BigEndian(reply.AsSpan(offset), offset == 0 ? value + 1 : value);
            return reply;
        });
        await using var client = await P11KitRpcClient.ConnectAsync(tampered, Token);
        var error = await Assert.ThrowsAsync<P11KitRpcException>(() => client.GetSlotListAsync(tokenPresent: true, Token));
        Assert.Equal((RpcFault.Malformed, "C_GetSlotList", expected), (error.Fault, error.Call, error.Expected));
        // Out of step: nothing that comes now can be believed.
        await Assert.ThrowsAsync<P11KitRpcException>(() => client.GetSlotListAsync(tokenPresent: true, Token));
    }

    [Fact]
    public async Task A_reply_that_ends_anywhere_is_a_connection_that_was_closed()
    {
        var whole = new FakeServer(new FakeToken("One")).Reply(RequestForSlots());
        for (var length = 0; length < whole.Length; length++)
        {
            var cut = length;
            await using var client = await P11KitRpcClient.ConnectAsync(new ServerStream(new FakeServer(new FakeToken("One")), r => r[..cut]), Token);
            var error = await Assert.ThrowsAsync<P11KitRpcException>(() => client.GetSlotListAsync(tokenPresent: true, Token));
            Assert.Equal((RpcFault.Closed, (long)length), (error.Fault, error.Offset));
        }
    }

    [Theory]
    [InlineData("", true, "the end of the connection")]
    [InlineData("HTTP/1.1 400 Bad Request\r\n", false, "'HTTP/1.1 400 Bad Request'")]
    [InlineData("SSH-2.0-OpenSSH_9.2\r\n", false, "'SSH-2.0-OpenSSH_9.2..'")]
    [InlineData("\u0015\u0003\u0001", false, "'...'")]
    public async Task What_is_no_version_is_shown(string answer, bool closed, string found)
    {
        var error = await Assert.ThrowsAsync<P11KitRpcException>(
            () => P11KitRpcClient.ConnectAsync(new ScriptStream(System.Text.Encoding.Latin1.GetBytes(answer)), Token));
        Assert.Equal((closed ? RpcFault.Closed : RpcFault.Malformed, found), (error.Fault, error.Found));
    }

    [Fact]
    public async Task A_stream_that_does_not_obey_the_token_does_not_hold_the_client()
    {
        // A pipe's reads cannot be interrupted on Unix.
        await using var server = new AnonymousPipeServerStream(PipeDirection.Out);
        await using var client = new AnonymousPipeClientStream(PipeDirection.In, server.ClientSafePipeHandle);
        using var soon = new CancellationTokenSource(TimeSpan.FromMilliseconds(100));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(
            () => P11KitRpcClient.ConnectAsync(new DuplexStream(client, Stream.Null), soon.Token)).WaitAsync(TimeSpan.FromSeconds(10), Token);
    }

    static byte[] RequestForSlots() => FakeServer.Frame(0x10, FakeServer.Body(4, "yfu", [1], FakeServer.U32(1024)));

    static async Task<Pkcs11Token> ReadTokenAsync(FakeToken token)
    {
        await using var client = await P11KitRpcClient.ConnectAsync(new ServerStream(new FakeServer(token)), Token);
        var (tokens, failures) = await RpcTokens.ReadAsync(client, Token);
        Assert.Empty(failures);
        return Assert.Single(tokens);
    }
}
