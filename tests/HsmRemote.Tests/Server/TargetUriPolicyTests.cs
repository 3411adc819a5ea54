using HsmRemote.Services.Server;
using Xunit;

namespace HsmRemote.Tests.Server;

public sealed class TargetUriPolicyTests
{
    readonly RecordingReporter reporter = new();

    [Theory]
    [InlineData("pkcs11:token=t?pin-value=123456", "TargetUriHasPin")]
    [InlineData("pkcs11:token=t;pin-source=x", "TargetUriHasPin")]
    [InlineData("pkcs11:token=t;colour=red", "TargetUriNotForToken")]
    [InlineData("pkcs11:token=t;slot-id=3", "TargetUriNotForToken")]
    [InlineData("pkcs11:token=t;library-version=3", "TargetUriNotForToken")]
    [InlineData("pkcs11:token=t;x-vendor=3", "TargetUriNotForToken")]
    [InlineData("pkcs11:token=t?module-path=/x.so", "TargetUriNotForToken")]
    [InlineData("pkcs11:", "TargetUriExposesAll")]
    [InlineData("pkcs11:object=key;type=private", "TargetUriExposesAll")]
    [InlineData("pkcs11:token=123456789012345678901234567890123", "TargetUriTooLong")]
    [InlineData("pkcs11:serial=12345678901234567", "TargetUriTooLong")]
    public void What_the_server_would_misread_is_refused(string uri, string errorId)
    {
        var error = Assert.Throws<HsmRemoteException>(() => TargetUriPolicy.Apply([Pkcs11Uri.Parse(uri)], reporter));
        Assert.Equal(errorId, error.ErrorId);
        Assert.Equal(FailureKind.InvalidArgument, error.Kind);
        Assert.NotNull(error.Remedy);
        Assert.DoesNotContain("123456", errorId is "TargetUriHasPin" ? error.Message : "", StringComparison.Ordinal);
    }

    [Fact]
    public void An_objects_URI_is_cut_down_to_its_tokens_with_a_warning()
    {
        var target = TargetUriPolicy.Apply([Pkcs11Uri.Parse("pkcs11:token=t;serial=1;object=key;type=private;id=%01")], reporter);
        Assert.Equal("pkcs11:serial=1;token=t", Assert.Single(target).ToString());
        Assert.Contains("object=key", Assert.Single(reporter.Warnings), StringComparison.Ordinal);
    }

    [Fact]
    public void A_token_that_is_named_twice_is_exposed_once()
    {
        var target = TargetUriPolicy.Apply([Pkcs11Uri.Parse("pkcs11:token=t;serial=1"), Pkcs11Uri.Parse("pkcs11:serial=1;token=t")], reporter);
        Assert.Single(target);
        Assert.Empty(reporter.Warnings);
    }
}
