using System.Runtime.InteropServices;
using HsmRemote.Fuzz.Uris;

namespace HsmRemote.Tests.Pkcs11Uris;

/// <summary>Pkcs11Uri beside libp11-kit.so.0, which interprets every URI in the end. './build.sh Fuzz' judges a million of them.</summary>
public sealed class P11KitAgreementTests
{
    const ulong Seed = 1;
    const int Cases = 50_000;

    [Fact]
    public void P11_kit_agrees_on_generated_and_mutated_URIs_or_takes_more_for_a_reason_that_is_listed()
    {
        Require();
        using var judge = new UriJudge();
        var wrong = UriFuzz.Judge(judge, Seed, 0, Cases);
        Assert.True(wrong.Count == 0, string.Join('\n', wrong));
        // The cases are worth something: many are taken, and every reason was met.
        Assert.True(judge.Taken > Cases / 5, $"only {judge.Taken} were taken");
        Assert.Equal(Enum.GetValues<UriDifference>(), judge.Refused.Keys.Order());
    }

    [Fact]
    public void A_judge_notices_a_difference()
    {
        Require();
        using var theirs = new P11KitUri();
        Assert.True(theirs.Parse("pkcs11:token=ab", P11KitUri.ForAny));
        Assert.Equal("pkcs11:token=ab", theirs.Format());
        Assert.True(theirs.MatchesToken(Field("ab", 32), Field("", 32), Field("", 16), Field("", 16)));
        Assert.False(theirs.MatchesToken(Field("ac", 32), Field("", 32), Field("", 16), Field("", 16)));
        Assert.False(theirs.Parse("pkcs11:token", P11KitUri.ForAny));

        static byte[] Field(string value, int size) => System.Text.Encoding.ASCII.GetBytes(value.PadRight(size));
    }

    [Fact]
    public void Every_difference_is_in_the_help_with_its_reason()
    {
        var page = File.ReadAllText(Path.Combine(Checkout.Pages, "about_HsmRemote_Uris.md"));
        Assert.All(Enum.GetNames<UriDifference>(), name => Assert.Contains($"\n| {name} |", page, StringComparison.Ordinal));
    }

    static void Require()
    {
        if (RuntimeInformation.ProcessArchitecture is not (Architecture.X64 or Architecture.Arm64) || !NativeLibrary.TryLoad("libp11-kit.so.0", out _))
            Assert.Skip("There is no libp11-kit.so.0 whose CK_ULONG has 8 bytes.");
    }
}
