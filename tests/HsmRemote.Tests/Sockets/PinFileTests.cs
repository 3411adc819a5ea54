using System.Net;
using System.Text;
using HsmRemote.Services.Native;
using HsmRemote.Services.Sockets;

namespace HsmRemote.Tests.Sockets;

public sealed class PinFileTests : IDisposable
{
    const UnixFileMode Owner = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    readonly string path = Path.GetTempFileName();

    public void Dispose() => File.Delete(path);

    [Theory]
    [InlineData("1234", "1234")]
    [InlineData("1234\n", "1234")]
    [InlineData("1234\r\n", "1234")]
    [InlineData(" 12\n34\n\n", " 12\n34\n")]
    [InlineData("pä€𝄞\n", "pä€𝄞")]
    public void One_newline_at_the_end_is_no_part_of_the_PIN(string content, string expected)
    {
        Write(Encoding.UTF8.GetBytes(content), Owner);
        using var pin = PinFile.Read(path);
        Assert.Equal(expected, new NetworkCredential("", pin).Password);
        using var bytes = new PinBytes(pin);
        Assert.Equal(Encoding.UTF8.GetBytes(expected), bytes.Span.ToArray());
    }

    [Fact]
    public void A_PIN_is_zeroed_after_use()
    {
        Write("1234"u8.ToArray(), UnixFileMode.UserRead);
        using var pin = PinFile.Read(path);
        var bytes = new PinBytes(pin);
        bytes.Dispose();
        Assert.Equal(new byte[4], bytes.Span.ToArray());
    }

    [Theory]
    [InlineData(UnixFileMode.GroupRead)]
    [InlineData(UnixFileMode.OtherRead)]
    [InlineData(UnixFileMode.GroupWrite)]
    [InlineData(UnixFileMode.UserExecute)]
    public void A_file_that_is_not_the_owners_alone_is_unsafe(UnixFileMode more)
    {
        Write("1234"u8.ToArray(), Owner | more);
        Refused("PinFileUnsafe", path);
    }

    [Fact]
    public void Another_users_file_is_unsafe()
    {
        Assert.SkipUnless(Accounts.geteuid() == 0, "This is not root: that another user's file is refused is NOT tested.");
        Write("1234"u8.ToArray(), Owner);
        using (var chown = System.Diagnostics.Process.Start("chown", ["12345", path]))
            chown.WaitForExit();
        Refused("PinFileUnsafe", path);
    }

    [Theory]
    [InlineData("/dev/null", "PinFileUnsafe")]
    [InlineData("/", "PinFileUnsafe")]
    [InlineData("/no/such/file", "PinFileUnreadable")]
    public void What_is_no_file_is_refused(string other, string errorId) => Refused(errorId, other);

    [Fact]
    public void What_is_no_PIN_is_refused_and_not_shown()
    {
        foreach (var content in (byte[][])[[], "\n"u8.ToArray(), [.. "1234"u8, 0xFF], [.. Enumerable.Repeat((byte)'7', 1025)]])
        {
            Write(content, Owner);
            Assert.DoesNotContain("1234", Refused("PinFileMalformed", path).ToString(), StringComparison.Ordinal);
        }
    }

    static HsmRemoteException Refused(string errorId, string path)
    {
        var error = Assert.Throws<HsmRemoteException>(() => PinFile.Read(path));
        Assert.Equal(errorId, error.ErrorId);
        return error;
    }

    void Write(byte[] content, UnixFileMode mode)
    {
        File.SetUnixFileMode(path, Owner);
        File.WriteAllBytes(path, content);
        File.SetUnixFileMode(path, mode);
    }
}
