using HsmRemote.Services.Server;

namespace HsmRemote.Tests.Server;

/// <summary>What is said of a URI. That the server reads it so is what P11KitAgreementTests compare with libp11-kit.</summary>
public sealed class UriExaminerTests
{
    [Theory]
    [InlineData("pkcs11:token=one", Pkcs11UriOutcome.AsMeant, "pkcs11:token=one", "", "")]
    [InlineData("pkcs11:token=one;;serial=9", Pkcs11UriOutcome.More, "pkcs11:token=one", "serial", "behind an attribute that is empty")]
    [InlineData("pkcs11:;token=one", Pkcs11UriOutcome.Everything, "pkcs11:", "token", "behind an attribute that is empty")]
    [InlineData("pkcs11:token=one;", Pkcs11UriOutcome.More, "pkcs11:token=one", "", "")]
    [InlineData("pkcs11:token=o ne", Pkcs11UriOutcome.More, "pkcs11:token=one", "", "deletes white space")]
    [InlineData("pkcs11:token=a;token=b", Pkcs11UriOutcome.More, "pkcs11:token=b", "", "the last 'token'")]
    [InlineData("pkcs11:token=%00a;serial=1", Pkcs11UriOutcome.More, "pkcs11:serial=1", "", "as any value")]
    [InlineData("pkcs11:token=one?module-path=/x", Pkcs11UriOutcome.More, "pkcs11:token=one", "module-path", "ignores the query")]
    [InlineData("pkcs11:", Pkcs11UriOutcome.Everything, "pkcs11:", "", "")]
    [InlineData("pkcs11:token=one;object=k", Pkcs11UriOutcome.Nothing, null, "", "'object' is no attribute of a token")]
    [InlineData("pkcs11:toke=one", Pkcs11UriOutcome.Nothing, null, "", "'toke' is no attribute of a token")]
    [InlineData("pkcs11:serial=01234567890123456", Pkcs11UriOutcome.Nothing, null, "", "longer than the 16 bytes")]
    [InlineData("pkcs11:token", Pkcs11UriOutcome.NoConnection, null, "", "ends every connection")]
    [InlineData("pkcs11:token=%2", Pkcs11UriOutcome.NoConnection, null, "", "ends every connection")]
    [InlineData("PKCS11:token=one", Pkcs11UriOutcome.NoConnection, null, "", "small letters")]
    [InlineData("", Pkcs11UriOutcome.NoConnection, null, "", "small letters")]
    public void It_says_what_a_server_makes_of_it(string text, Pkcs11UriOutcome outcome, string? reads, string ignores, string misreads)
    {
        var test = UriExaminer.Examine(text, []);
        Assert.Equal(outcome, test.Outcome);
        Assert.Equal(reads, test.ServerReads?.ToString());
        Assert.Equal(ignores, string.Join(',', test.Ignores));
        Assert.Contains(misreads, string.Join(' ', test.Misreads), StringComparison.Ordinal);
        Assert.Equal(test.IsValid, test.Error is null);
        Assert.Equal(test.IsValid, test.Offset is null);
    }

    [Theory]
    [InlineData("pkcs11:token=pin?pin-value=774411")]
    [InlineData("pkcs11:token=a;;?p in-value=774411")]
    [InlineData("pkcs11:pin-source=774411;token=a")]
    [InlineData("pkcs11:pinfile=774411;token=%")]
    public void A_PIN_is_nowhere_in_the_result(string text)
    {
        var test = UriExaminer.Examine(text, []);
        Assert.DoesNotContain("774411", $"{test.Text} {test.Uri} {test.Error} {test.Refusal} {test.ServerReads} {string.Join(' ', test.Misreads)}", StringComparison.Ordinal);
        Assert.NotNull(test.Refusal);
    }
}
