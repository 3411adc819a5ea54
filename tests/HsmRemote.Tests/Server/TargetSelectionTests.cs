using HsmRemote.Services.Server;

namespace HsmRemote.Tests.Server;

public sealed class TargetSelectionTests
{
    readonly Pkcs11Token edge = TestTokens.Make("edge", "Y", "17");
    readonly Pkcs11Token other = TestTokens.Make("other", "Y", "18");
    readonly Pkcs11Token pivOne = TestTokens.Make("PIV_II", "PIV", "00000000", slotId: 1);
    readonly Pkcs11Token pivTwo = TestTokens.Make("PIV_II", "PIV", "00000000", slotId: 2);

    TargetSelection Selection => new([edge, other, pivOne, pivTwo]);

    [Fact]
    public void The_URI_of_one_token_and_of_each_of_several_will_do()
    {
        Selection.Require([edge.Uri]);
        Selection.Require([edge.Uri, other.Uri]);
        Selection.Require([Pkcs11Uri.Parse("pkcs11:token=edge")]);
        // Both were piped in, and nothing tells them apart.
        Selection.Require([pivOne.Uri, pivTwo.Uri]);
        Selection.Require([Pkcs11Uri.Parse("pkcs11:model=Y"), other.Uri]);
    }

    [Fact]
    public void None_is_an_error_that_says_what_there_is()
    {
        var error = Assert.Throws<HsmRemoteException>(() => Selection.Require([edge.Uri, Pkcs11Uri.Parse("pkcs11:token=gone")]));
        Assert.Equal(("TargetUriSelectsNothing", FailureKind.NotFound), (error.ErrorId, error.Kind));
        Assert.Contains("'edge', 'other', 'PIV_II'.", error.Message, StringComparison.Ordinal);
        Assert.Contains("-Force", error.Remedy, StringComparison.Ordinal);
    }

    [Fact]
    public void More_than_were_named_is_an_error_that_names_them()
    {
        var error = Assert.Throws<HsmRemoteException>(() => Selection.Require([pivOne.Uri]));
        Assert.Equal(("TargetUriAmbiguous", FailureKind.InvalidArgument), (error.ErrorId, error.Kind));
        Assert.Contains("in slot 1 of", error.Message, StringComparison.Ordinal);
        Assert.Contains("in slot 2 of", error.Message, StringComparison.Ordinal);
        Assert.Contains("unplug", error.Remedy, StringComparison.Ordinal);

        error = Assert.Throws<HsmRemoteException>(() => Selection.Require([Pkcs11Uri.Parse("pkcs11:model=Y"), pivOne.Uri, pivTwo.Uri]));
        Assert.Equal("TargetUriAmbiguous", error.ErrorId);
        Assert.Contains("'edge'", error.Message, StringComparison.Ordinal);
        Assert.Contains("'other'", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_minimal_URI_is_the_shortest_that_selects_the_same_and_none_when_there_is_no_difference()
    {
        Assert.Equal("pkcs11:serial=17", Selection.Minimal(edge.Uri).ToString());
        Assert.Equal("pkcs11:model=PIV", Selection.Minimal(pivOne.Uri).ToString());
        // Neither the serial number nor the label names it alone.
        var same = new TargetSelection([edge, TestTokens.Make("edge", "Z", "18"), TestTokens.Make("long label", "Z", "17")]);
        Assert.Equal("pkcs11:model=Y", same.Minimal(edge.Uri).ToString());
        var crossed = new TargetSelection([edge, TestTokens.Make("edge", "Y", "18"), TestTokens.Make("long label", "Y", "17")]);
        Assert.Equal("pkcs11:serial=17;token=edge", crossed.Minimal(edge.Uri).ToString());
        // A token with blank fields is named alone by what is blank, which its own URI leaves out.
        var blank = TestTokens.Make("", "Y", "");
        var two = new TargetSelection([edge, blank]);
        Assert.Equal(2, two.Of(blank.Uri).Count);
        Assert.Equal("pkcs11:token=", two.Minimal(blank.Uri).ToString());
        Assert.Same(blank, Assert.Single(two.Of(two.Minimal(blank.Uri))));
        Assert.Equal(["pkcs11:token="], two.Minimals(blank.Uri, each: false).Select(uri => uri.ToString()));
        // What is no token's own and selects several is left as it is, to be refused.
        Assert.Equal(["pkcs11:model=Y"], new TargetSelection([edge, TestTokens.Make("other", "Y", "1")]).Minimals(Pkcs11Uri.Parse("pkcs11:model=Y"), each: false).Select(uri => uri.ToString()));
    }
}
