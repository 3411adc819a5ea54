using System.Buffers.Binary;
using HsmRemote.Fuzz;

namespace HsmRemote.Tests.P11KitRpc;

/// <summary>A stream whose far side is in memory: what is written is looked at, what is to be read was put there.</summary>
abstract class FarSide : ConversationStream
{
    readonly Queue<ReadOnlyMemory<byte>> unread = [];

    /// <summary>The most bytes that one read gives.</summary>
    public int ReadLimit { get; set; } = int.MaxValue;

    public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        Received(buffer.Span);
        return ValueTask.CompletedTask;
    }

    public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (!unread.TryDequeue(out var bytes))
            return new(0);
        var count = Math.Min(Math.Min(bytes.Length, buffer.Length), ReadLimit);
        bytes[..count].CopyTo(buffer);
        var left = bytes[count..];
        if (!left.IsEmpty)
        {
            // What is left has to be read before what came after it.
            var later = unread.ToArray();
            unread.Clear();
            unread.Enqueue(left);
            foreach (var more in later)
                unread.Enqueue(more);
        }

        return new(count);
    }

    protected void Send(ReadOnlyMemory<byte> bytes)
    {
        if (!bytes.IsEmpty)
            unread.Enqueue(bytes);
    }

    protected abstract void Received(ReadOnlySpan<byte> bytes);
}

/// <summary>The far side is a server that answers; a test may change what it answers.</summary>
sealed class ServerStream(FakeServer server, Func<byte[], byte[]>? tamper = null) : FarSide
{
    bool agreed;

    protected override void Received(ReadOnlySpan<byte> bytes)
    {
        if (!agreed)
        {
            agreed = true;
            Send(bytes.ToArray());
            return;
        }

        Assert.Equal(bytes.Length, 12 + (int)BinaryPrimitives.ReadUInt32BigEndian(bytes[8..]));
        var reply = server.Reply(bytes);
        Send(tamper is null ? reply : tamper(reply));
    }
}

/// <summary>The far side says the same whatever it hears, and closes.</summary>
sealed class ScriptStream : FarSide
{
    public ScriptStream(params byte[] bytes) => Send(bytes);

    protected override void Received(ReadOnlySpan<byte> bytes)
    {
    }
}
