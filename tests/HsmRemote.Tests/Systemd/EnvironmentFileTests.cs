using HsmRemote.Services.Systemd;
using Xunit;

namespace HsmRemote.Tests.Systemd;

/// <summary>The rules are systemd's; EnvironmentFileOnSystemdTests holds the same cases against systemd itself.</summary>
public sealed class EnvironmentFileTests
{
    [Theory]
    [InlineData("A=1\nB=2\n", "1")]
    [InlineData("A=1", "1")]
    [InlineData("A=1\nA=2\n", "2")]
    [InlineData("  A = 1 \n", "1")]
    [InlineData("A=\"pkcs11:a;b c\"\n", "pkcs11:a;b c")]
    [InlineData("A='x \"y\" z'\n", "x \"y\" z")]
    [InlineData("A=\"x\\\"y\\n\"\n", "x\"y\\n")]
    [InlineData("A=x\\\ny\n", "xy")]
    [InlineData("A=\"x\ny\"\nB=1\n", "x\ny")]
    [InlineData("A=x\"y\"\n", "x\"y\"")]
    [InlineData("A='x'\"y\" z\n", "xyz")]
    [InlineData("A=x # y\n", "x # y")]
    [InlineData("A=\n", "")]
    [InlineData("#A=1\n;A=2\n", null)]
    [InlineData("export A=1\n", null)]
    [InlineData("1A=1\nA\n", null)]
    [InlineData("A=1\r\nB=2\r\n", "1")]
    public void A_value_is_what_systemd_reads(string text, string? value) => Assert.Equal(value, EnvironmentFile.Parse(text)["A"]);

    [Theory]
    [InlineData("# c\nA=1\nB=2\n", "# c\nA=\"x y\"\nB=2\n")]
    [InlineData("B=2", "B=2\nA=\"x y\"\n")]
    [InlineData("", "A=\"x y\"\n")]
    [InlineData("A=1\n# c\nA=\"2\n3\"\nB=2\n", "# c\nA=\"x y\"\nB=2\n")]
    [InlineData("B=\"A=1\nA=2\"\n", "B=\"A=1\nA=2\"\nA=\"x y\"\n")]
    public void All_else_stays_as_it_was_written(string before, string after)
    {
        var changed = EnvironmentFile.Parse(before).With("A", "x y");
        Assert.Equal(after, changed.ToString());
        Assert.Equal("x y", EnvironmentFile.Parse(after)["A"]);
    }

    [Theory]
    [InlineData("# c \\\nA=1\n", true)]
    [InlineData("; c\\\r\nA=1\r\n", true)]
    [InlineData("# c\nA=1\\\n2\n", false)]
    public void A_comment_that_systemds_versions_read_differently_is_noticed(string text, bool ambiguous) =>
        Assert.Equal(ambiguous, EnvironmentFile.Parse(text).IsAmbiguous);

    [Fact]
    public void A_value_with_quotes_and_dollars_survives()
    {
        const string Value = "a\"b\\c$d`e'f";
        Assert.Equal(Value, EnvironmentFile.Parse(EnvironmentFile.Parse("").With("A", Value).ToString())["A"]);
    }
}
