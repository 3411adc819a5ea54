using System.Buffers.Binary;
using HsmRemote.Fuzz;

namespace HsmRemote.Tests.P11KitRpc;

/// <summary>
/// A server that answers from memory and allocates nothing while it does, so that what is measured is the client. Each call has
/// one answer, whatever its arguments.
/// </summary>
sealed class CannedServer(FakeServer server)
{
    readonly Dictionary<uint, byte[]> replies = [];

    internal ReadOnlyMemory<byte> Reply(ReadOnlySpan<byte> request)
    {
        var call = BinaryPrimitives.ReadUInt32BigEndian(request[12..]);
        if (!replies.TryGetValue(call, out var reply))
            replies.Add(call, reply = server.Reply(request));
        request[..sizeof(uint)].CopyTo(reply);
        return reply;
    }
}

/// <summary>A stream to such a server, in the same thread.</summary>
sealed class CannedStream(CannedServer server) : ConversationStream
{
    ReadOnlyMemory<byte> unread;
    bool agreed;

    public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        unread = agreed ? server.Reply(buffer.Span) : new byte[1];
        agreed = true;
        return ValueTask.CompletedTask;
    }

    public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        var count = Math.Min(buffer.Length, unread.Length);
        unread[..count].CopyTo(buffer);
        unread = unread[count..];
        return new(count);
    }
}
