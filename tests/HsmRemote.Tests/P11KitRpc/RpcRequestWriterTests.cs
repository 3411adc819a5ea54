using HsmRemote.Services.P11KitRpc;

namespace HsmRemote.Tests.P11KitRpc;

public sealed class RpcRequestWriterTests
{
    [Fact]
    public void A_PIN_that_was_sent_is_zeroed()
    {
        var writer = new RpcRequestWriter();
        writer.Begin(RpcCall.Login, 0x10);
        writer.Ulong(1);
        writer.Ulong(1);
        writer.ByteArray("1234"u8);
        var frame = writer.End();
        Assert.True(frame.Span.EndsWith("1234"u8));
        writer.Clear();
        Assert.Equal(-1, frame.Span.IndexOfAnyExcept((byte)0));
    }
}
