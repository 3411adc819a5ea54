namespace HsmRemote.Fuzz;

/// <summary>A hostile server in memory. It never waits: where it would stall, it cancels what it is given.</summary>
sealed class HostileStream(HostileCase hostile, CancellationTokenSource patience) : ConversationStream
{
    readonly byte[][] script = hostile.Script();
    int turn;
    ReadOnlyMemory<byte> unread;

    public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (turn < script.Length)
            unread = unread.IsEmpty ? script[turn] : (byte[])[.. unread.Span, .. script[turn]];
        else if (hostile.End == PeerEnd.Resets)
            return ValueTask.FromException(new IOException("Broken pipe"));
        turn++;
        return ValueTask.CompletedTask;
    }

    public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (!unread.IsEmpty)
        {
            var count = Math.Min(Math.Min(buffer.Length, unread.Length), hostile.Chunk);
            unread[..count].CopyTo(buffer);
            unread = unread[count..];
            return new(count);
        }

        switch (hostile.End)
        {
            case PeerEnd.Closes:
                return new(0);
            case PeerEnd.Resets:
                return ValueTask.FromException<int>(new IOException("Connection reset by peer"));
            default:
                patience.Cancel();
                return ValueTask.FromCanceled<int>(cancellationToken);
        }
    }
}
