using System.Diagnostics;

namespace HsmRemote.Tests.Module;

/// <summary>Get-Pkcs11Token with a real module: SoftHSM, whose store each test chooses by the session's environment.</summary>
public sealed class SoftHsmTests : IDisposable
{
    readonly Engine engine;
    readonly DirectoryInfo directory = Directory.CreateTempSubdirectory("hsmremote-tests-");

    public SoftHsmTests(Engine engine)
    {
        this.engine = engine;
        Assert.SkipUnless(File.Exists("/usr/bin/softhsm2-util"), "softhsm2 is not installed: a real module is NOT read.");
        Assert.SkipUnless(File.Exists("/usr/bin/p11tool"), "gnutls-bin is not installed: our URIs are NOT compared with p11tool's.");
    }

    public void Dispose() => directory.Delete(recursive: true);

    [Fact]
    public void Tokens_are_those_of_the_store_that_the_session_names_and_URIs_are_p11tools()
    {
        var labels = new[] { "one", "two; with odd %=é" };
        var stores = labels.Select(MakeStore).ToList();
        // There and back again: the module reads its configuration at each call.
        foreach (var i in new[] { 0, 1, 0 })
        {
            var token = (Pkcs11Token)Assert.Single(engine.Run($"{In(stores[i])} Get-Pkcs11Token -Module softhsm2").Check()).BaseObject;
            Assert.Equal(labels[i], token.Label);
            Assert.Equal("softhsm2", token.Module);
            Assert.Contains(token.Uri.ToString(), Run("p11tool", stores[i], "--list-token-urls").Split('\n'));
        }
    }

    [Fact]
    public void Labels_take_wildcards_and_a_label_that_is_not_there_is_an_error()
    {
        var store = MakeStore("edge token");
        Assert.Single(engine.Run($"{In(store)} Get-Pkcs11Token EDGE*").Check());
        Assert.Empty(engine.Run($"{In(store)} Get-Pkcs11Token zz*").Check());
        Assert.Single(engine.Run($"{In(store)} Get-Pkcs11Token edge*, 'edge token'").Check());
        var error = engine.Run($"{In(store)} Get-Pkcs11Token zz").Error;
        Assert.StartsWith("TokenNotFound,", error.FullyQualifiedErrorId, StringComparison.Ordinal);
        Assert.Contains("'edge token'", error.ErrorDetails.RecommendedAction, StringComparison.Ordinal);
    }

    [Fact]
    public void A_URI_selects_by_all_that_it_says_and_one_that_says_what_nobody_knows_is_an_error()
    {
        var store = MakeStore("edge token");
        var slot = ((Pkcs11Token)Assert.Single(engine.Run($"{In(store)} Get-Pkcs11Token").Check()).BaseObject).SlotId;
        foreach (var right in new[] { $"slot-id={slot}", "slot-manufacturer=SoftHSM%20project", "library-manufacturer=SoftHSM;token=edge%20token", "object=x;id=%01", "?module-name=other" })
            Assert.Single(engine.Run($"{In(store)} Get-Pkcs11Token -Module softhsm2 -Uri 'pkcs11:{right}'").Check());
        foreach (var wrong in new[] { $"slot-id={slot + 1}", "slot-description=nobody", "library-manufacturer=nobody", "library-version=9.9", "token=edge" })
            Assert.StartsWith("TokenNotFound,", engine.Run($"{In(store)} Get-Pkcs11Token -Module softhsm2 -Uri 'pkcs11:{wrong}'").Error.FullyQualifiedErrorId, StringComparison.Ordinal);
        foreach (var command in new[] { "Get-Pkcs11Token", "Get-Pkcs11Object", "Export-Pkcs11Certificate" })
        {
            var error = engine.Run($"{In(store)} {command} -Uri 'pkcs11:tokn=edge%20token'").Error;
            Assert.StartsWith("UriUnrecognized,", error.FullyQualifiedErrorId, StringComparison.Ordinal);
            Assert.Contains("'tokn'", error.ToString(), StringComparison.Ordinal);
        }

        Assert.StartsWith("UriUnrecognized,", engine.Run($"{In(store)} Get-Pkcs11Token -Uri 'pkcs11:token={new string('x', 33)}'").Error.FullyQualifiedErrorId, StringComparison.Ordinal);
    }

    [Fact]
    public void What_no_module_of_a_pipeline_has_is_said_once_at_its_end()
    {
        var store = MakeStore("edge token");
        Assert.Single(engine.Run($"{In(store)} Get-Pkcs11Module | Get-Pkcs11Token 'edge token' 2>$null").Check());
        var errors = engine.Run($"{In(store)} Get-Pkcs11Module softhsm2, p11-kit-trust | Get-Pkcs11Token zz").Errors;
        Assert.StartsWith("TokenNotFound,", Assert.Single(errors).FullyQualifiedErrorId, StringComparison.Ordinal);
    }

    [Fact]
    public void It_waits_for_a_token_that_is_made_meanwhile()
    {
        var store = MakeStore("first");
        Run("softhsm2-util", store, "--show-slots");
        // Begun by the script: other tests may keep the session to themselves for longer than that.
        var script = $$"""
            {{In(store)}}
            $maker = [Diagnostics.Process]::Start('sh', [string[]] ('-c', 'sleep 2; exec softhsm2-util --init-token --free --label second --pin 1234 --so-pin 5678 >/dev/null'))
            $watch = [Diagnostics.Stopwatch]::StartNew()
            (Get-Pkcs11Token first, second -Module softhsm2 -Wait -TimeoutSeconds 60).Label
            $watch.Elapsed.TotalSeconds
            $maker.WaitForExit()
            """;
        var waited = engine.Run(script).Check();
        Assert.Equal(["first", "second"], waited.Take(2).Select(label => label.ToString()));
        Assert.InRange((double)waited[2].BaseObject, 1, 60);
        // What is there is not waited for.
        Assert.Single(engine.Run($"{In(store)} Get-Pkcs11Token first -Module softhsm2 -Wait -TimeoutSeconds 60").Check());
    }

    [Theory]
    [InlineData("third", "with the label 'third'")]
    [InlineData("-Uri pkcs11:token=third", "that -Uri selects")]
    public void When_no_token_comes_the_wait_ends_and_says_so(string query, string what)
    {
        var error = engine.Run($"{In(MakeStore("only"))} Get-Pkcs11Token {query} -Module softhsm2 -Wait -TimeoutSeconds 1.5").Error;
        Assert.StartsWith("TokenWaitTimedOut,", error.FullyQualifiedErrorId, StringComparison.Ordinal);
        Assert.Contains($"In 1.5 s there was no token {what}", error.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void In_a_process_of_its_own_a_module_gives_the_same_tokens()
    {
        var store = MakeStore("isolated");
        var own = (Pkcs11Token)Assert.Single(engine.Run($"{In(store)} Get-Pkcs11Token -Module softhsm2").Check()).BaseObject;
        var isolated = (Pkcs11Token)Assert.Single(engine.Run($"{In(store)} Get-Pkcs11Token -Module softhsm2 -Isolated").Check()).BaseObject;
        Assert.Equal((own.Uri, own.Module, own.ModulePath, own.Type, own.Flags, own.FirmwareVersion), (isolated.Uri, isolated.Module, isolated.ModulePath, isolated.Type, isolated.Flags, isolated.FirmwareVersion));
    }

    [Fact]
    public void TAB_completes_labels_in_quotes_where_they_need_them()
    {
        var session = In(MakeStore("edge token"));
        Assert.Equal(["'edge token'"], engine.CompleteAtLast("Get-Pkcs11Token -Label ed", session));
        Assert.Equal(["'edge token'"], engine.CompleteAtLast("Get-Pkcs11Token -Label 'ed", session));
        Assert.StartsWith("'pkcs11:model=SoftHSM", Assert.Single(engine.CompleteAtLast("Set-P11TargetUri edge -Uri pkcs11:model=S", session)), StringComparison.Ordinal);
    }

    [Fact]
    public void A_label_that_TAB_gave_names_that_token_whatever_characters_it_has()
    {
        const string Label = "it's [a] $token*";
        var session = In(MakeStore(Label));
        foreach (var begun in new[] { "", "it", "'it", "\"it" })
        {
            var completed = Assert.Single(engine.CompleteAtLast($"Get-Pkcs11Token -Label {begun}", session));
            Assert.Equal(Label, ((Pkcs11Token)Assert.Single(engine.Run($"{session} Get-Pkcs11Token -Label {completed}").Check()).BaseObject).Label);
        }
    }

    // In the same script as what reads it: other tests use the same session in between.
    static string In(string store) => $"$env:SOFTHSM2_CONF = '{store}';";

    string MakeStore(string label)
    {
        var store = directory.CreateSubdirectory(Guid.NewGuid().ToString("N"));
        var tokens = store.CreateSubdirectory("tokens");
        var configuration = Path.Combine(store.FullName, "softhsm2.conf");
        File.WriteAllText(configuration, $"directories.tokendir = {tokens.FullName}\n");
        Run("softhsm2-util", configuration, "--init-token", "--free", "--label", label, "--pin", "1234", "--so-pin", "5678");
        return configuration;
    }

    static string Run(string program, string configuration, params string[] arguments)
    {
        var start = new ProcessStartInfo(program, arguments) { UseShellExecute = false, RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["SOFTHSM2_CONF"] = configuration;
        using var process = Process.Start(start)!;
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.Equal(0, process.ExitCode);
        return output;
    }
}
