using CsCheck;
using HsmRemote.Services.P11KitRpc;
using HsmRemote.Services.Pkcs11;

namespace HsmRemote.Tests.P11KitRpc;

/// <summary>Whatever the far side sends, the client ends with one of its own exceptions, and in bounded memory.</summary>
public class HostileServerTests
{
    const int Cases = 20_000;

    static readonly Gen<byte[]> Noise = Gen.Byte.Array[0, 200];

    // Numbers at which lengths turn over.
    static readonly Gen<uint> Claims = Gen.OneOf(Gen.UInt, Gen.OneOf(0u, 1u, 0x7FFFFFFFu, 0x80000000u, 0xFFFFFFFFu, 0xFFFFFFF4u, 1024u * 1024, 1024u * 1024 + 1, 4096u, 4097u));

    [Fact]
    public void Any_bytes_end_in_our_exception() =>
        Noise.Sample(noise => Survives(new ScriptStream(noise)), iter: Cases);

    [Fact]
    public void Any_bytes_in_a_frame_that_fits_end_in_our_exception() =>
        Gen.Select(Noise, Gen.Int[1, 20]).Sample(
            (noise, limit) => Survives(new ServerStream(Server(), reply => FakeServer.Frame(ReadCode(reply), noise)) { ReadLimit = limit }), iter: Cases);

    [Fact]
    public void Any_number_anywhere_ends_in_our_exception_or_is_a_reply() =>
        Gen.Select(Gen.Int[0, 400], Claims, Gen.Int[0, 6]).Sample(
            (offset, claim, which) => Survives(Tampered(which, reply =>
            {
                FakeServer.U32(claim).AsSpan(0, Math.Min(4, Math.Max(0, reply.Length - offset))).CopyTo(reply.AsSpan(Math.Min(offset, reply.Length)));
                return reply;
            })),
            iter: Cases);

    [Fact]
    public void Any_results_of_a_call_in_a_session_end_in_our_exception_or_are_a_reply() =>
        Gen.Select(Noise, Gen.Int[0, 3], Claims).Sample(
            (noise, which, claim) =>
            {
                var (call, signature) = new[] { (24u, "aAu"), (27u, "au"), (43u, "ay"), (64u, "ay") }[which];
                // The call may have one before it, which has to go well for it to be reached.
                var server = Server();
                var stream = new ServerStream(server, reply => server.Calls[^1] == call
                    ? FakeServer.Frame(ReadCode(reply), FakeServer.Body(call, signature, [1], FakeServer.U32(claim), noise))
                    : reply);
                Survives(stream, client => call switch
                {
                    24 => client.GetAttributeValueAsync(1, 2, [0, 3, 0x103], CancellationToken.None),
                    27 => client.FindObjectsAsync(1, [], CancellationToken.None),
                    43 => client.SignAsync(1, 0x1041, 2, noise, CancellationToken.None),
                    _ => client.GenerateRandomAsync(1, 32, CancellationToken.None),
                });
            },
            iter: Cases);

    [Fact]
    public void Any_cut_ends_in_our_exception() =>
        Gen.Select(Gen.Int[0, 400], Gen.Int[0, 6]).Sample(
            (length, which) => Survives(Tampered(which, reply => reply[..Math.Min(length, reply.Length)])), iter: Cases);

    [Fact]
    public async Task A_claimed_length_allocates_nothing()
    {
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 100; i++)
            await SurvivesAsync(new ServerStream(Server(), reply => [.. reply[..8], 0x7F, 0xFF, 0xFF, 0xFF, .. reply[12..]]), ReadEverythingAsync);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 4 * 1024 * 1024);
    }

    static FakeServer Server() => new(new FakeToken("One"), new FakeToken("Two"));

    static uint ReadCode(byte[] frame) => System.Buffers.Binary.BinaryPrimitives.ReadUInt32BigEndian(frame);

    // Only one reply is spoilt, so that the ones behind the first are reached too.
    static ServerStream Tampered(int which, Func<byte[], byte[]> tamper)
    {
        var count = 0;
        return new(Server(), reply => count++ == which ? tamper(reply) : reply);
    }

    static void Survives(Stream stream) => Survives(stream, ReadEverythingAsync);

    static void Survives(Stream stream, Func<P11KitRpcClient, Task> conversation)
    {
        var pending = SurvivesAsync(stream, conversation);
        Assert.True(pending.IsCompleted);
#pragma warning disable xUnit1031 // It is complete: the streams are in memory. CsCheck's samples are not asynchronous at this speed.
        pending.GetAwaiter().GetResult();
#pragma warning restore xUnit1031
    }

    static async Task SurvivesAsync(Stream stream, Func<P11KitRpcClient, Task> conversation)
    {
        try
        {
            await using var client = await P11KitRpcClient.ConnectAsync(stream, CancellationToken.None);
            await conversation(client);
        }
        catch (Exception e) when (e is P11KitRpcException or Pkcs11ErrorException)
        {
            // These are what it may end with.
        }
    }

    static async Task ReadEverythingAsync(P11KitRpcClient client)
    {
        await client.InitializeAsync(CancellationToken.None);
        await client.GetInfoAsync(CancellationToken.None);
        foreach (var slot in await client.GetSlotListAsync(tokenPresent: true, CancellationToken.None))
        {
            (await client.GetTokenInfoAsync(slot, CancellationToken.None)).ToToken(slot, await client.GetSlotInfoAsync(slot, CancellationToken.None));
            await client.GetMechanismListAsync(slot, CancellationToken.None);
        }
    }
}
