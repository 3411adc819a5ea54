using Xunit;

namespace HsmRemote.Tests.Pkcs11Uris;

public sealed class Pkcs11UriTests
{
    [Theory]
    [InlineData("pkcs11:token=a%20b;model=M", "pkcs11:model=M;token=a%20b")]
    [InlineData("pkcs11:serial=1;manufacturer=x;token=t;model=m", "pkcs11:model=m;manufacturer=x;serial=1;token=t")]
    [InlineData("pkcs11:token=%c3%a9", "pkcs11:token=%C3%A9")]
    [InlineData("pkcs11:token=a:b@c", "pkcs11:token=a%3Ab%40c")]
    [InlineData("pkcs11:id=%01%ff;type=private;object=k;token=t", "pkcs11:token=t;id=%01%FF;object=k;type=private")]
    [InlineData("pkcs11:token=t?module-name=x", "pkcs11:token=t?module-name=x")]
    [InlineData("PKCS11:token=t", "pkcs11:token=t")]
    [InlineData("pkcs11:", "pkcs11:")]
    [InlineData("pkcs11:serial=", "pkcs11:serial=")]
    public void It_is_shown_in_the_form_and_order_of_p11tool(string text, string canonical) =>
        Assert.Equal(canonical, Pkcs11Uri.Parse(text).ToString());

    [Theory]
    [InlineData("", 0)]
    [InlineData("token=a", 0)]
    [InlineData("pkcs11:;token=a", 7)]
    [InlineData("pkcs11:token=a;;serial=9", 15)]
    [InlineData("pkcs11:token=a;", 15)]
    [InlineData("pkcs11:token", 7)]
    [InlineData("pkcs11:=a", 7)]
    [InlineData("pkcs11:tok en=a", 10)]
    [InlineData("pkcs11:token=a b", 14)]
    [InlineData("pkcs11:token=a\n", 14)]
    [InlineData("pkcs11:token=%2", 13)]
    [InlineData("pkcs11:token=%zz", 13)]
    [InlineData("pkcs11:token=% 1", 13)]
    [InlineData("pkcs11:token=a;token=b", 15)]
    [InlineData("pkcs11:token=é", 13)]
    [InlineData("pkcs11:token=a?x=1&x=2", 19)]
    public void What_is_none_is_refused_at_its_offset(string text, int offset)
    {
        Assert.False(Pkcs11Uri.TryParse(text, out _, out var error));
        Assert.StartsWith($"Offset {offset}:", error, StringComparison.Ordinal);
        Assert.Equal(error, Assert.Throws<FormatException>(() => Pkcs11Uri.Parse(text)).Message);
    }

    [Theory]
    [InlineData("pkcs11:token=t?pin-value=123456")]
    [InlineData("pkcs11:token=t?pin-source=file:/run/123456")]
    [InlineData("pkcs11:token=t;pin-value=123456")]
    public void A_PIN_is_noticed_and_neither_kept_nor_shown(string text)
    {
        var uri = Pkcs11Uri.Parse(text);
        Assert.True(uri.HasPin);
        Assert.Equal("pkcs11:token=t", uri.ToString());
    }

    [Fact]
    public void An_error_does_not_repeat_a_PIN()
    {
        Assert.False(Pkcs11Uri.TryParse("pkcs11:token=t;;?pin-value=123456", out _, out var error));
        Assert.DoesNotContain("123456", error, StringComparison.Ordinal);
    }

    [Fact]
    public void Every_byte_survives_being_shown_and_read()
    {
        var label = Enumerable.Range(0, 256).Select(i => (byte)i).Where(b => b != ' ').ToArray();
        var uri = Pkcs11Uri.ForToken(label, "m"u8, "x"u8, ""u8);
        Assert.Equal(uri, Pkcs11Uri.Parse(uri.ToString()));
        Assert.Equal(label.Length, Pkcs11Uri.Parse(uri.ToString()).ByteCount("token"));
    }

    [Fact]
    public void A_tokens_URI_leaves_blank_fields_and_padding_out_and_keeps_NULs()
    {
        var uri = Pkcs11Uri.ForToken("lab el  "u8, "  "u8, "m\0\0"u8, ""u8);
        Assert.Equal("pkcs11:model=m%00%00;token=lab%20el", uri.ToString());
    }

    [Theory]
    [InlineData("pkcs11:", true)]
    [InlineData("pkcs11:token=edge", true)]
    [InlineData("pkcs11:token=edge;serial=1", true)]
    [InlineData("pkcs11:token=edge%20%20", true)]
    [InlineData("pkcs11:manufacturer=", true)]
    [InlineData("pkcs11:serial=", false)]
    [InlineData("pkcs11:token=Edge", false)]
    [InlineData("pkcs11:token=edg", false)]
    [InlineData("pkcs11:token=edge;object=k", false)]
    [InlineData("pkcs11:token=edge;colour=red", false)]
    public void It_matches_as_p11_kit_does(string text, bool matches)
    {
        var token = Pkcs11Uri.ForToken("edge"u8, ""u8, "M"u8, "1"u8);
        Assert.Equal(matches, Pkcs11Uri.Parse(text).Matches(token));
    }

    [Fact]
    public void Cut_down_to_its_token_it_has_only_what_identifies_a_token() =>
        Assert.Equal(
            "pkcs11:model=M;token=t",
            Pkcs11Uri.Parse("pkcs11:token=t;object=k;type=private;id=%01;model=M;slot-id=3?module-name=x").ToTokenUri().ToString());
}
