using System.Buffers.Binary;
using System.Net.Sockets;

namespace HsmRemote.Services.P11KitRpc;

/// <summary>Frames over a stream: one request, one reply, one at a time.</summary>
/// <remarks>
/// After a failure or a cancellation the conversation is out of step: it can only be closed. The stream has to obey the token;
/// pipes do as a <see cref="DuplexStream"/>.
/// </remarks>
sealed class RpcConnection(Stream stream) : IAsyncDisposable
{
    /// <summary>The calls that we make are the same in every version; 0 is the one that every server has.</summary>
    const byte OfferedVersion = 0;

    const int PreviewLength = 24;

    byte[] received = new byte[4096];
    int start;
    int end;
    bool inStep = true;

    /// <summary>Agrees on the version, which is the first thing said on a connection.</summary>
    internal async Task<byte> NegotiateAsync(CancellationToken cancellationToken)
    {
        const string Call = "Version";
        try
        {
            await SendAsync(Call, new[] { OfferedVersion }, cancellationToken);
        }
        catch (P11KitRpcException)
        {
            // Another protocol's server may greet and close before it hears anything: its greeting can still be read.
        }

        await FillAsync(Call, 1, "a version", cancellationToken);
        var version = received[start];
        if (version > OfferedVersion)
            throw Malformed(Call, 0, $"version {OfferedVersion}");
        start++;
        return version;
    }

    /// <summary>Sends a request and receives the reply's frame, which is good until the next call.</summary>
    /// <returns>The frame, and where its body begins.</returns>
    internal async ValueTask<(ReadOnlyMemory<byte> Frame, int Body)> ExchangeAsync(
        string function, uint callCode, ReadOnlyMemory<byte> request, CancellationToken cancellationToken)
    {
        const int HeaderLength = RpcRequestWriter.HeaderLength;
        if (!inStep)
            throw new P11KitRpcException(RpcFault.Closed, function, 0, "a conversation in step", "one that a failure had ended");
        inStep = false;
        await SendAsync(function, request, cancellationToken);
        await FillAsync(function, HeaderLength, "a frame", cancellationToken);

        if (Header(0) != callCode)
            throw Malformed(function, 0, $"call code {callCode}");
        var options = Header(4);
        var body = Header(8);
        if ((ulong)options + body > RpcLimits.Frame)
            throw new P11KitRpcException(RpcFault.Malformed, function, 4, $"at most {RpcLimits.Frame} bytes", $"a frame of {(ulong)options + body}");

        var length = HeaderLength + (int)(options + body);
        await FillAsync(function, length, $"{options + body} bytes", cancellationToken);
        var frame = received.AsMemory(start, length);
        start += length;
        inStep = true;
        return (frame, HeaderLength + (int)options);

        uint Header(int offset) => BinaryPrimitives.ReadUInt32BigEndian(received.AsSpan(start + offset));
    }

    public ValueTask DisposeAsync() => stream.DisposeAsync();

    /// <summary>Bytes of the far side for a message: whoever answers may send anything, also to a terminal.</summary>
    internal static string Printable(ReadOnlySpan<byte> bytes)
    {
        Span<char> text = stackalloc char[Math.Min(bytes.Length, PreviewLength)];
        for (var i = 0; i < text.Length; i++)
            text[i] = bytes[i] is >= 0x20 and < 0x7F and var b ? (char)b : '.';
        return text.ToString();
    }

    async ValueTask SendAsync(string call, ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        try
        {
            await stream.WriteAsync(bytes, cancellationToken);
            await stream.FlushAsync(cancellationToken);
        }
        catch (Exception e) when (e is IOException or SocketException or ObjectDisposedException)
        {
            throw new P11KitRpcException(RpcFault.Closed, call, 0, "an open connection", "a closed one", e);
        }
    }

    /// <summary>Reads until <paramref name="count"/> bytes are there, and whatever came with them.</summary>
    async ValueTask FillAsync(string call, int count, string expected, CancellationToken cancellationToken)
    {
        if (start == end)
            start = end = 0;
        if (received.Length - start < count)
        {
            var buffer = count <= received.Length ? received : new byte[count];
            received.AsSpan(start, end - start).CopyTo(buffer);
            received = buffer;
            end -= start;
            start = 0;
        }

        while (end - start < count)
        {
            int read;
            try
            {
                read = await stream.ReadAsync(received.AsMemory(end), cancellationToken);
            }
            catch (Exception e) when (e is IOException or SocketException or ObjectDisposedException)
            {
                throw new P11KitRpcException(RpcFault.Closed, call, end - start, expected, "a connection that was reset", e);
            }

            if (read == 0)
                throw new P11KitRpcException(RpcFault.Closed, call, end - start, expected, "the end of the connection");
            end += read;
        }
    }

    P11KitRpcException Malformed(string call, int offset, string expected) =>
        new(RpcFault.Malformed, call, offset, expected, $"'{Printable(received.AsSpan(start, end - start))}'");
}
