using System.Text.Json;

namespace HsmRemote.SystemTests;

/// <summary>Which tokens Set-P11TargetUri takes, what it says of them, and what becomes of connections that see others.</summary>
public sealed class TargetChoiceTests(SandboxFixture sandbox)
{
    [Fact]
    public void A_URI_that_selects_others_besides_is_an_error_that_names_them_and_changes_nothing()
    {
        // SoftHSM allows two of a label, as PIV tokens share a serial number.
        sandbox.CreateToken("choice-twin");
        sandbox.CreateTwin("choice-twin");
        sandbox.HsmRemote("Install-P11KitServer choice-twin").SucceededWithOne();

        var error = Error("Set-P11TargetUri choice-twin pkcs11:token=choice-twin");
        Assert.StartsWith("TargetUriAmbiguous,", error[0], StringComparison.Ordinal);
        Assert.Contains("selects 2 tokens", error[1], StringComparison.Ordinal);
        var uris = sandbox.HsmRemote("(Get-Pkcs11Token choice-twin).Uri.ForEach({ \"$_\" })").Succeeded().Select(uri => uri.GetString()!).ToArray();
        Assert.Equal(2, uris.Length);
        Assert.All(uris, uri => Assert.Contains(uri, error[1], StringComparison.Ordinal));
        Assert.Empty(Target("choice-twin"));

        // One of the two, and both, are no secret to their whole URIs.
        var one = sandbox.HsmRemote($"Set-P11TargetUri choice-twin '{uris[0]}'").SucceededWithOne();
        Assert.Equal([uris[0]], Exposed(one));
        Assert.Equal(2, Exposed(sandbox.HsmRemote("Get-Pkcs11Token choice-twin | Set-P11TargetUri choice-twin").SucceededWithOne()).Length);

        var forced = sandbox.HsmRemote("Set-P11TargetUri choice-twin pkcs11:token=choice-twin -Force").SucceededWithOne();
        Assert.Equal(uris.Order(StringComparer.Ordinal), Exposed(forced).Order(StringComparer.Ordinal));
        Assert.Equal(["pkcs11:token=choice-twin"], Target("choice-twin"));
        // It is the target by now: there is nothing to write, and so nothing to ask.
        Assert.False(sandbox.HsmRemote("Set-P11TargetUri choice-twin pkcs11:token=choice-twin").SucceededWithOne().GetProperty("Changed").GetBoolean());
    }

    [Fact]
    public void A_URI_that_selects_nothing_is_an_error_unless_it_may_be_plugged_in_later()
    {
        sandbox.HsmRemote("Install-P11KitServer choice-none").SucceededWithOne();
        Assert.StartsWith("TargetUriSelectsNothing,", Error("Set-P11TargetUri choice-none pkcs11:token=choice-later")[0], StringComparison.Ordinal);
        Assert.Empty(Target("choice-none"));

        var forced = sandbox.HsmRemote("Set-P11TargetUri choice-none pkcs11:token=choice-later -Force").SucceededWithOne();
        Assert.True(forced.GetProperty("Changed").GetBoolean());
        Assert.Empty(Exposed(forced));
        sandbox.CreateToken("choice-later");
        var again = sandbox.HsmRemote("Set-P11TargetUri choice-none pkcs11:token=choice-later").SucceededWithOne();
        Assert.False(again.GetProperty("Changed").GetBoolean());
        Assert.Single(Exposed(again));
    }

    [Fact]
    public void Tokens_are_added_and_taken_out_and_named_in_few_words()
    {
        sandbox.CreateToken("choice-add-1");
        sandbox.CreateToken("choice-add-2");
        sandbox.HsmRemote("Install-P11KitServer choice-add").SucceededWithOne();

        Changes("Get-Pkcs11Token choice-add-1 | Set-P11TargetUri choice-add -Form Minimal", true, "choice-add-1");
        var uri = Assert.Single(Target("choice-add"));
        Assert.DoesNotContain(';', uri);
        Assert.Equal(["choice-add-1"], Labels($"Get-Pkcs11Token -Uri '{uri}'"));
        // It is selected already, in other words.
        Changes("Get-Pkcs11Token choice-add-1 | Set-P11TargetUri choice-add -Add", false, "choice-add-1");
        Changes("Get-Pkcs11Token choice-add-2 | Set-P11TargetUri choice-add -Add", true, "choice-add-1", "choice-add-2");
        Changes("Get-Pkcs11Token choice-add-2 | Set-P11TargetUri choice-add -Add", false, "choice-add-1", "choice-add-2");
        Assert.Equal(uri, Target("choice-add")[0]);

        // The whole URI takes out what names the token in fewer words.
        Changes("Get-Pkcs11Token choice-add-1 | Set-P11TargetUri choice-add -Remove", true, "choice-add-2");
        Changes("Get-Pkcs11Token choice-add-1 | Set-P11TargetUri choice-add -Remove", false, "choice-add-2");

        // And so does any that selects it, even where the target has other words for it.
        var serial = sandbox.HsmRemote("\"pkcs11:serial=$((Get-Pkcs11Token choice-add-1).SerialNumber)\"").SucceededWithOne().GetString();
        Changes($"Set-P11TargetUri choice-add '{serial}' -Add", true, "choice-add-1", "choice-add-2");
        Changes("Set-P11TargetUri choice-add pkcs11:token=choice-add-1 -Remove", true, "choice-add-2");

        // What selects others too is not taken out for the sake of one.
        sandbox.HsmRemote("Set-P11TargetUri choice-add 'pkcs11:model=SoftHSM%20v2' -Force").SucceededWithOne();
        Assert.StartsWith("TargetUriAmbiguous,", Error("Get-Pkcs11Token choice-add-1 | Set-P11TargetUri choice-add -Remove")[0], StringComparison.Ordinal);
        Changes("Get-Pkcs11Token choice-add-1 | Set-P11TargetUri choice-add -Remove -Force", true);

        void Changes(string command, bool changed, params string[] exposes)
        {
            var result = sandbox.HsmRemote(command).SucceededWithOne();
            Assert.Equal(changed, result.GetProperty("Changed").GetBoolean());
            Assert.Equal(exposes, result.GetProperty("Exposes").EnumerateArray().Select(t => t.GetProperty("Label").GetString()).Order(StringComparer.Ordinal));
        }
    }

    [Fact]
    public void Connections_that_see_what_is_no_more_in_the_target_are_ended_and_others_are_not()
    {
        var one = sandbox.CreateToken("choice-open-1");
        var two = sandbox.CreateToken("choice-open-2");
        sandbox.HsmRemote($"Install-P11KitServer choice-open -TargetUri '{one.Uri}'").SucceededWithOne();
        sandbox.Connect("choice-open");

        // More is no reason to end it, and neither is the same.
        sandbox.HsmRemote($"Set-P11TargetUri choice-open '{two.Uri}' -Add").SucceededWithOne();
        Open(1);
        var shown = sandbox.HsmRemote($"Set-P11TargetUri choice-open '{two.Uri}' -WhatIf").SucceededWithOne();
        Assert.Contains("StopUnit", shown.GetProperty("Changes").GetRawText(), StringComparison.Ordinal);
        Assert.Equal("choice-open-2", Assert.Single(shown.GetProperty("Exposes").EnumerateArray()).GetProperty("Label").GetString());
        Open(1);

        sandbox.HsmRemote($"Set-P11TargetUri choice-open '{one.Uri}' -KeepConnections").SucceededWithOne();
        Open(1);

        var result = sandbox.HsmRemote($"Set-P11TargetUri choice-open '{two.Uri}'").SucceededWithOne();
        Assert.Contains("choice-open@*.service", result.GetProperty("Changes").GetRawText(), StringComparison.Ordinal);
        Open(0);

        // The connection by which Set-P11TargetUri asked what is exposed may be there a moment longer.
        void Open(int count) => sandbox.WaitFor($"[ $(systemctl list-units --no-legend --state=active 'choice-open@*' | wc -l) = {count} ]");
    }

    [Fact]
    public void A_server_that_does_not_listen_is_a_warning()
    {
        sandbox.CreateToken("choice-stopped");
        sandbox.HsmRemote("Install-P11KitServer choice-stopped").SucceededWithOne();
        sandbox.Run("systemctl", "stop", "choice-stopped.socket").Succeeded();
        var result = sandbox.HsmRemote("Get-Pkcs11Token choice-stopped | Set-P11TargetUri choice-stopped");
        var set = result.SucceededWithOne();
        Assert.True(set.GetProperty("Changed").GetBoolean());
        Assert.Equal(JsonValueKind.Null, set.GetProperty("Exposes").ValueKind);
        Assert.Contains("does not listen", result.StdErr, StringComparison.Ordinal);
    }

    [Fact]
    public void A_token_that_the_server_does_not_see_is_a_warning()
    {
        sandbox.HsmRemote("Install-P11KitServer choice-unseen").SucceededWithOne();
        sandbox.Shell("""
            mkdir -p /var/tmp/choice-unseen
            echo directories.tokendir = /var/tmp/choice-unseen > /var/tmp/choice-unseen.conf
            SOFTHSM2_CONF=/var/tmp/choice-unseen.conf softhsm2-util --init-token --free --label choice-unseen --pin 123456 --so-pin 87654321
            """).Succeeded();
        var result = sandbox.HsmRemote("$env:SOFTHSM2_CONF = '/var/tmp/choice-unseen.conf'; Get-Pkcs11Token choice-unseen | Set-P11TargetUri choice-unseen");
        Assert.Empty(Exposed(result.SucceededWithOne()));
        Assert.Contains("does not see", result.StdErr, StringComparison.Ordinal);
    }

    [Fact]
    public void A_token_that_only_the_server_sees_is_a_warning()
    {
        sandbox.CreateToken("choice-more");
        sandbox.HsmRemote("Install-P11KitServer choice-more").SucceededWithOne();
        sandbox.Shell("mkdir -p /var/tmp/choice-more; echo directories.tokendir = /var/tmp/choice-more > /var/tmp/choice-more.conf").Succeeded();
        var result = sandbox.HsmRemote("$env:SOFTHSM2_CONF = '/var/tmp/choice-more.conf'; Set-P11TargetUri choice-more pkcs11:token=choice-more -Force");
        Assert.Single(Exposed(result.SucceededWithOne()));
        Assert.Contains("exposes what is not there for this session: 'choice-more'", string.Join(' ', result.StdErr.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)), StringComparison.Ordinal);
    }

    string[] Error(string command) =>
        [.. sandbox.HsmRemote($$"""try { {{command}} -ErrorAction Stop } catch { $_.FullyQualifiedErrorId; $_.Exception.Message }""").Succeeded().Select(o => o.GetString()!)];

    string[] Target(string name) =>
        [.. sandbox.HsmRemote($"Get-P11TargetUri {name}").SucceededWithOne().GetProperty("Uri").EnumerateArray().Select(u => u.GetString()!)];

    string?[] Labels(string command) => [.. sandbox.HsmRemote(command).Succeeded().Select(t => t.GetProperty("Label").GetString())];

    static string[] Exposed(JsonElement result) => [.. result.GetProperty("Exposes").EnumerateArray().Select(t => t.GetProperty("Uri").GetString()!)];
}
