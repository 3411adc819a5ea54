using System.Globalization;
using Xunit;

namespace HsmRemote.Tests.Pkcs11Uris;

public sealed class Pkcs11UriTests
{
    [Theory]
    [InlineData("pkcs11:token=a%20b;model=M", "pkcs11:model=M;token=a%20b")]
    [InlineData("pkcs11:serial=1;manufacturer=x;token=t;model=m", "pkcs11:model=m;manufacturer=x;serial=1;token=t")]
    [InlineData("pkcs11:token=%c3%a9", "pkcs11:token=%C3%A9")]
    [InlineData("pkcs11:token=a:b@c", "pkcs11:token=a%3Ab%40c")]
    [InlineData("pkcs11:id=ab;token=t", "pkcs11:token=t;id=%61%62")]
    [InlineData("pkcs11:token=t;slot-id=007;slot-manufacturer=m;slot-description=d;library-version=3;library-manufacturer=l;library-description=x",
        "pkcs11:library-description=x;library-manufacturer=l;library-version=3.0;slot-description=d;slot-manufacturer=m;slot-id=7;token=t")]
    [InlineData("pkcs11:token=t%20%20;object=o%20", "pkcs11:token=t;object=o%20")]
    [InlineData("pkcs11:serial=01234567890123456%20", "pkcs11:serial=01234567890123456%20")]
    [InlineData("pkcs11:z=1;token=t;a=2", "pkcs11:token=t;a=2;z=1")]
    [InlineData("pkcs11:?z=1&module-path=%2fx.so&a=2&z=0&module-name=m", "pkcs11:?module-name=m&module-path=%2Fx.so&a=2&z=1&z=0")]
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
    [InlineData("pkcs11:token=a?module-name=1&module-name=2", 29)]
    [InlineData("pkcs11:token=a?x=%00", 17)]
    [InlineData("pkcs11:token=a?X=1", 15)]
    [InlineData("pkcs11:token=%00", 13)]
    [InlineData("pkcs11:serial=%00%00", 14)]
    [InlineData("pkcs11:type=secretkey", 12)]
    [InlineData("pkcs11:type=%70rivate", 12)]
    [InlineData("pkcs11:object-type=private", 7)]
    [InlineData("pkcs11:slot-id=", 15)]
    [InlineData("pkcs11:slot-id=9223372036854775808", 15)]
    [InlineData("pkcs11:slot-id=%31", 15)]
    [InlineData("pkcs11:library-version=255.0", 23)]
    [InlineData("pkcs11:library-version=1.", 23)]
    [InlineData("pkcs11:library-version=1.2.3", 23)]
    public void What_is_none_is_refused_at_its_offset(string text, int offset)
    {
        Assert.False(Pkcs11Uri.TryParse(text, out _, out var error));
        Assert.StartsWith($"Offset {offset}:", error, StringComparison.Ordinal);
        Assert.False(Pkcs11Uri.TryParse(text, out _, out _, out var at));
        Assert.Equal(offset, at);
        Assert.Equal(error, Assert.Throws<FormatException>(() => Pkcs11Uri.Parse(text)).Message);
    }

    [Theory]
    [InlineData("pkcs11:token=t?pin-value=123456")]
    [InlineData("pkcs11:token=t?pin-source=file:/run/123456")]
    [InlineData("pkcs11:token=t;pin-value=123456")]
    [InlineData("pkcs11:token=t?pinfile=/run/123456")]
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
        var label = Enumerable.Range(1, 256).Select(i => (byte)i).Where(b => b != ' ').ToArray();
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

    [Fact]
    public void A_tokens_URI_leaves_a_field_out_that_begins_with_NUL_as_p11_kit_reads_that_as_any() =>
        Assert.Equal("pkcs11:token=t", Pkcs11Uri.ForToken("t"u8, new byte[32], [], new byte[16]).ToString());

    [Fact]
    public void It_has_a_property_for_every_attribute_of_the_RFC_and_for_vendors()
    {
        var uri = Pkcs11Uri.Parse(
            "pkcs11:token=t;manufacturer=ma;serial=s;model=mo;library-manufacturer=lm;library-version=2.40;library-description=ld;object=o;type=cert;id=%01%02;"
            + "slot-manufacturer=sm;slot-description=sd;slot-id=17;x-colour=r%20d?module-name=mn&module-path=/p.so&x-q=1&x-q=2");
        Assert.Equal(
            ["t", "ma", "s", "mo", "lm", "2.40", "ld", "o", "cert", "sm", "sd", "17", "mn", "/p.so"],
            [
                uri.Token, uri.Manufacturer, uri.Serial, uri.Model, uri.LibraryManufacturer, uri.LibraryVersion?.ToString(), uri.LibraryDescription, uri.Object, uri.Type,
                uri.SlotManufacturer, uri.SlotDescription, uri.SlotId?.ToString(CultureInfo.InvariantCulture), uri.ModuleName, uri.ModulePath,
            ]);
        Assert.Equal([1, 2], uri.Id);
        Assert.Equal("r d", Assert.Single(uri.VendorAttributes).Value);
        Assert.Equal(["1", "2"], uri.VendorQueryAttributes.Select(a => a.Value));
        Assert.False(uri.IsRecognized);

        var empty = Pkcs11Uri.Parse("pkcs11:");
        Assert.All(
            [
                empty.Token, empty.Manufacturer, empty.Serial, empty.Model, empty.LibraryManufacturer, empty.LibraryDescription, empty.Object, empty.Type,
                empty.SlotManufacturer, empty.SlotDescription, empty.ModuleName, empty.ModulePath, (object?)empty.LibraryVersion, empty.SlotId, empty.Id,
            ],
            Assert.Null);
        Assert.Empty(empty.VendorAttributes);
        Assert.Empty(empty.VendorQueryAttributes);
        Assert.True(empty.IsRecognized);
    }

    [Fact]
    public void The_order_the_escapes_and_the_padding_make_no_difference_and_an_empty_value_does()
    {
        var uri = Pkcs11Uri.Parse("pkcs11:token=ab;b=1;a=2?y=1&x=2");
        var same = Pkcs11Uri.Parse("PKCS11:a=2;token=%61b%20;b=%31?x=2&y=1&pin-value=1");
        Assert.True(uri == same);
        Assert.Equal(uri.GetHashCode(), same.GetHashCode());
        Assert.Equal(uri.ToString(), same.ToString());
        Assert.True(Pkcs11Uri.Parse("pkcs11:serial=") != Pkcs11Uri.Parse("pkcs11:"));
        Assert.True(Pkcs11Uri.Parse("pkcs11:serial=a") != Pkcs11Uri.Parse("pkcs11:serial=A"));
        Assert.True(Pkcs11Uri.Parse("pkcs11:object=a") != Pkcs11Uri.Parse("pkcs11:object=a%20"));
        Assert.False(uri == null);
    }

    [Theory]
    [InlineData("pkcs11:token=a", "pkcs11:serial=1;token=a", true)]
    [InlineData("pkcs11:token=a", "pkcs11:token=a", true)]
    [InlineData("pkcs11:", "pkcs11:token=a", true)]
    [InlineData("pkcs11:token=a;serial=1", "pkcs11:token=a", false)]
    [InlineData("pkcs11:token=a", "pkcs11:token=b", false)]
    [InlineData("pkcs11:serial=", "pkcs11:token=b", false)]
    public void One_URI_covers_another_when_it_says_no_more(string wide, string narrow, bool covers) =>
        Assert.Equal(covers, Pkcs11Uri.Parse(wide).Covers(Pkcs11Uri.Parse(narrow)));

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
