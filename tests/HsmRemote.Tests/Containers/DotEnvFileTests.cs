using System.Security;
using System.Text;
using HsmRemote.Services.Containers;
using HsmRemote.Services.Sockets;

namespace HsmRemote.Tests.Containers;

public sealed class DotEnvFileTests
{
    [Theory]
    [InlineData("", "A=1\n")]
    [InlineData("# c\nB=2", "# c\nB=2\nA=1\n")]
    [InlineData("export A = 0 # old\nB=2\n", "A=1\nB=2\n")]
    [InlineData("A=x\n\nA=y\n", "A=1\n\n")]
    [InlineData("B='x\nA=0\n'\n", "B='x\nA=0\n'\nA=1\n")]
    [InlineData("#A=0\nAA=0\n", "#A=0\nAA=0\nA=1\n")]
    [InlineData("B=2\r\nA=0\r\n", "B=2\r\nA=1\r\n")]
    [InlineData("\ufeffA=0\nB=2\n", "\ufeffA=1\nB=2\n")]
    [InlineData("B=2\r\nC=3", "B=2\r\nC=3\r\nA=1\r\n")]
    public void A_variable_is_set_in_its_place_and_all_else_stays(string before, string after) => Assert.Equal(after, Write(before, ("A", "1")));

    [Fact]
    public void A_PIN_is_written_masked_and_removed()
    {
        using var pin = new PinBytes(Secure("12ab"));
        var file = DotEnvFile.Write("A=1\n"u8.ToArray(), [], pin, withoutPin: false);
        Assert.Equal("A=1\nTEDGE_DEVICE_CRYPTOKI_PIN=12ab\n", Encoding.UTF8.GetString(file));
        Assert.True(DotEnvFile.HasPin(file));
        Assert.Equal("A=1\nTEDGE_DEVICE_CRYPTOKI_PIN=(hidden)\n", DotEnvFile.Mask(file, "(hidden)"));
        // In whatever form somebody else wrote it.
        Assert.DoesNotContain("secret", DotEnvFile.Mask("export TEDGE_DEVICE_CRYPTOKI_PIN = \"secret\nsecret\" \nB=1\n"u8.ToArray(), "(hidden)"), StringComparison.Ordinal);
        Assert.DoesNotContain("secret", DotEnvFile.Mask("\ufeffTEDGE_DEVICE_CRYPTOKI_PIN=secret\n"u8.ToArray(), "(hidden)"), StringComparison.Ordinal);
        Assert.Equal("A=1\n", Encoding.UTF8.GetString(DotEnvFile.Write(file, [], null, withoutPin: true)));
    }

    [Theory]
    [InlineData("a b")]
    [InlineData("a\nb")]
    [InlineData("a'b")]
    public void A_PIN_that_would_need_quotes_is_refused_and_not_repeated(string text)
    {
        using var pin = new PinBytes(Secure(text));
        var error = Assert.Throws<HsmRemoteException>(() => DotEnvFile.Write([], [], pin, withoutPin: false));
        Assert.Equal("PinNotWritable", error.ErrorId);
        Assert.DoesNotContain(text, error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("A=1\nTEDGE_DEVICE_CRYPTOKI_PIN=12ab\r\n", "12ab")]
    [InlineData("export TEDGE_DEVICE_CRYPTOKI_PIN = '1 2#' \n", "1 2#")]
    [InlineData("TEDGE_DEVICE_CRYPTOKI_PIN=\"12\"\nTEDGE_DEVICE_CRYPTOKI_PIN=34", "34")]
    [InlineData("TEDGE_DEVICE_CRYPTOKI_PIN=\n", null)]
    [InlineData("#TEDGE_DEVICE_CRYPTOKI_PIN=1\n", null)]
    public void A_PIN_is_read_as_the_readers_do(string file, string? expected)
    {
        using var pin = DotEnvFile.PinOf(Encoding.UTF8.GetBytes(file));
        Assert.Equal(expected, pin is null ? null : Encoding.UTF8.GetString(pin.Span));
    }

    [Theory]
    [InlineData("TEDGE_DEVICE_CRYPTOKI_PIN=\"s3$cret\"\n")]
    [InlineData("TEDGE_DEVICE_CRYPTOKI_PIN=s3cret # mine\n")]
    [InlineData("TEDGE_DEVICE_CRYPTOKI_PIN='s3cret\n'\n")]
    public void A_PIN_that_readers_may_read_differently_is_not_moved(string file)
    {
        var error = Assert.Throws<HsmRemoteException>(() => DotEnvFile.PinOf(Encoding.UTF8.GetBytes(file)));
        Assert.Equal("PinNotWritable", error.ErrorId);
        Assert.DoesNotContain("cret", error.Message, StringComparison.Ordinal);
    }

    // docker's and podman's --env-file take quotes for a part of the value.
    [Theory]
    [InlineData("LS0tLS1CRUdJTg==", "A=LS0tLS1CRUdJTg==\n")]
    [InlineData("=a", "A='=a'\n")]
    public void Base64_is_written_without_quotes(string value, string line) => Assert.Equal(line, Write("", ("A", value)));

    [Theory]
    [InlineData("a\nb")]
    [InlineData("a\rb")]
    [InlineData("a\0b")]
    [InlineData("${HOME}")]
    [InlineData("it's \"both\"")]
    [InlineData("end\\")]
    public void What_the_readers_do_not_agree_on_is_refused(string value) =>
        Assert.Equal("ContainerValueInvalid", Assert.Throws<HsmRemoteException>(() => Write("", ("A", value))).ErrorId);

    static string Write(string before, params (string Name, string Value)[] variables) => Encoding.UTF8.GetString(
        DotEnvFile.Write(Encoding.UTF8.GetBytes(before), [.. variables.Select(v => KeyValuePair.Create(v.Name, v.Value))], null, withoutPin: false));

    static SecureString Secure(string text)
    {
        var secure = new SecureString();
        foreach (var c in text)
            secure.AppendChar(c);
        return secure;
    }
}
