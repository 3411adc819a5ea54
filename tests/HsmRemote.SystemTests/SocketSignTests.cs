using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace HsmRemote.SystemTests;

/// <summary>
/// Test-P11Socket from the target to the signature, with a real token. What SoftHSM cannot be brought to (attempts that
/// run out, a PIN that is locked, a keypad, a signature that is wrong by itself) is in HsmRemote.Tests, SignLadderTests.
/// </summary>
public sealed partial class SocketSignTests(SandboxFixture sandbox)
{
    const string Pin = "123456";
    const string SecurityOfficerPin = "87654321";

    [Fact]
    public void It_signs_as_the_user_of_a_container()
    {
        Install("sign-works");
        var pinPath = PinFile("sign-works");
        var test = Test($"sign-works -Uid 5000 -Gid 5000 -SupplementaryGroup 7201 -PinPath {pinPath}");
        Assert.True(test.GetProperty("Succeeded").GetBoolean(), test.ToString());
        Assert.Equal(11, test.GetProperty("Checks").GetArrayLength());
        Assert.All(test.GetProperty("Checks").EnumerateArray(), check => Assert.Equal("Passed", Text(check, "Status")));
        Assert.Equal("'key' signs with CKM_ECDSA; verified with its public key", Detail(test, "Sign"));

        // A PIN in memory, and one that shows nowhere.
        var shown = sandbox.HsmRemote($"$pin = [securestring]::new(); foreach ($c in '{Pin}'.ToCharArray()) {{ $pin.AppendChar($c) }}; Test-P11Socket sign-works -Pin $pin -Verbose");
        Assert.True(shown.SucceededWithOne().GetProperty("Succeeded").GetBoolean());
        Assert.Contains("Sign: Passed", shown.StdErr, StringComparison.Ordinal);
        Assert.DoesNotContain(Pin, shown.StdErr + shown.SucceededWithOne(), StringComparison.Ordinal);

        var screen = sandbox.Run(SandboxFixture.ShellPath, "-NoProfile", "-Command", $"Test-P11Socket sign-works -PinPath {pinPath} -TimeoutSeconds 60").Succeeded();
        Assert.Equal(12, screen.Split('\n').Length);
        Assert.DoesNotContain("CKM_AES", screen, StringComparison.Ordinal);
    }

    [Fact]
    public void An_RSA_key_signs_too_and_is_named_by_its_URI()
    {
        var store = Store("sign-rsa");
        store.InitializeToken("sign-rsa");
        store.Tool("sign-rsa", "--keypairgen --key-type rsa:2048 --label rsa --id 0A");
        store.Tool("sign-rsa", "--keypairgen --key-type EC:secp384r1 --label ec --id 0B");
        store.Install("pkcs11:token=sign-rsa");
        var pinPath = PinFile("sign-rsa");

        var ambiguous = Fails($"sign-rsa -PinPath {pinPath}", "Sign", "KeyAmbiguous");
        Assert.Contains("id=%0A;object=rsa;type=private", Text(ambiguous, "Explanation"), StringComparison.Ordinal);
        Signs("pkcs11:object=rsa", "CKM_SHA256_RSA_PKCS");
        Signs("pkcs11:token=sign-rsa;id=%0B;type=private", "CKM_ECDSA");
        Fails($"sign-rsa -PinPath {pinPath} -KeyUri 'pkcs11:id=%0C'", "Sign", "KeyNotFound");
        Fails($"sign-rsa -PinPath {pinPath} -KeyUri 'pkcs11:token=other;id=%0A'", "Login", "KeyNotFound");

        void Signs(string key, string mechanism) =>
            Assert.Contains(mechanism, Detail(Test($"sign-rsa -PinPath {pinPath} -KeyUri '{key}'"), "Sign"), StringComparison.Ordinal);
    }

    [Fact]
    public void A_wrong_PIN_is_tried_once_however_many_servers_lead_to_the_token()
    {
        var token = Install("sign-wrong");
        sandbox.HsmRemote($"Install-P11KitServer sign-wrong2 -TargetUri '{token.Uri}'").SucceededWithOne();
        JsonElement[] tests;
        var attempts = 0;
        // SoftHSM takes a token whose file another process writes meanwhile for none.
        do
            tests = sandbox.HsmRemote($"Get-P11KitServer sign-wrong, sign-wrong2 | Test-P11Socket -PinPath {PinFile("sign-wrong", "654321")}").Succeeded();
        while (++attempts < 5 && tests.Any(test => Text(test, "Cause") is "NoSlots" or "TargetNotFound"));
        Assert.All(tests, test => Assert.Equal(("Login", "PinIncorrect"), (Text(test, "FailedCheck"), Text(test, "Cause"))));
        // They run at the same time; which one asks the token is chance.
        var details = tests.Select(test => Detail(test, "Login")).Order(StringComparer.Ordinal).ToList();
        Assert.StartsWith("CKR_PIN_INCORRECT; ", details[0], StringComparison.Ordinal);
        Assert.Equal("refused before in this run: no attempt", details[1]);
        Assert.Equal("not tried: Login failed", Detail(tests[0], "Sign"));
        // What a PIN is needed for stays what it was.
        Assert.True(sandbox.HsmRemote("Test-P11Socket sign-wrong -Quiet").SucceededWithOne().GetBoolean());
    }

    [Fact]
    public void A_token_without_a_user_PIN()
    {
        var store = Store("sign-unset");
        store.Run($"pkcs11-tool --module {SoftHsmToken.Module} --init-token --slot-index 0 --label sign-unset --so-pin {SecurityOfficerPin}");
        store.Install("pkcs11:token=sign-unset");
        Fails($"sign-unset -PinPath {PinFile("sign-unset")}", "Login", "PinNotSet");
    }

    [Fact]
    public void A_token_that_was_never_initialised()
    {
        Store("sign-blank").Install("pkcs11:model=SoftHSM%20v2");
        Fails("sign-blank", "Target", "TokenNotInitialized");
        Fails("-SocketPath /run/sign-blank/pkcs11", "Target", "TokenNotInitialized");
    }

    [Fact]
    public void A_target_that_fits_several_tokens_is_a_warning_and_no_PIN_is_tried()
    {
        var store = Store("sign-several");
        store.InitializeToken("sign-several1");
        store.InitializeToken("sign-several2");
        store.Install("pkcs11:manufacturer=SoftHSM%20project");
        var test = Test("sign-several");
        Assert.True(test.GetProperty("Succeeded").GetBoolean());
        Assert.Equal("SeveralMatches", Text(test, "Cause"));
        Assert.Contains("token=sign-several1", Text(test, "Explanation"), StringComparison.Ordinal);
        Assert.Contains("token=sign-several2", Text(test, "Explanation"), StringComparison.Ordinal);

        var pinPath = PinFile("sign-several");
        Fails($"sign-several -PinPath {pinPath}", "Login", "SeveralMatches");
        Fails($"sign-several -PinPath {pinPath} -KeyUri 'pkcs11:token=sign-several2'", "Sign", "KeyNotFound");
    }

    [Fact]
    public void A_daemon_that_still_serves_an_older_target()
    {
        sandbox.CreateToken("sign-old");
        sandbox.CreateToken("sign-new");
        sandbox.WriteFile("/etc/sign-stale/config.env", "TARGET_PKCS11_URI=pkcs11:token=sign-old pkcs11:token=sign-new\n");
        sandbox.WriteFile("/etc/systemd/system/sign-stale.service", "[Service]\nEnvironmentFile=/etc/sign-stale/config.env\nExecStart=/usr/bin/p11-kit server -f -n /run/sign-stale $TARGET_PKCS11_URI\n");
        sandbox.Shell("systemctl daemon-reload; systemctl start sign-stale").Succeeded();
        sandbox.WaitFor("test -S /run/sign-stale");
        Assert.True(Test("sign-stale").GetProperty("Succeeded").GetBoolean());

        sandbox.WriteFile("/etc/sign-stale/config.env", "TARGET_PKCS11_URI=pkcs11:token=sign-new\n");
        var test = Fails("sign-stale", "Target", "ExposesMore");
        Assert.Contains("token=sign-old", Text(test, "Explanation"), StringComparison.Ordinal);
        // The remedy is one.
        sandbox.Run("systemctl", "restart", "sign-stale.service").Succeeded();
        sandbox.WaitFor("test -S /run/sign-stale");
        Assert.True(Test("sign-stale").GetProperty("Succeeded").GetBoolean());

        sandbox.WriteFile("/etc/sign-stale/config.env", "TARGET_PKCS11_URI=pkcs11:token=sign-new;serial=1\n");
        var differs = Fails("sign-stale", "Target", "TargetNotFound");
        Assert.Contains("not serial=1", Text(differs, "Explanation"), StringComparison.Ordinal);
    }

    [Fact]
    public void A_token_without_keys()
    {
        var store = Store("sign-nokey");
        store.InitializeToken("sign-nokey");
        store.Install("pkcs11:token=sign-nokey");
        Fails($"sign-nokey -PinPath {PinFile("sign-nokey")}", "Sign", "KeyNotFound");
    }

    [Fact]
    public void A_key_without_its_public_half_and_with_another_keys()
    {
        var store = Store("sign-half");
        store.InitializeToken("sign-half");
        store.Tool("sign-half", "--keypairgen --key-type EC:prime256v1 --label one --id 01");
        store.Tool("sign-half", "--keypairgen --key-type EC:prime256v1 --label two --id 02");
        store.Tool("sign-half", "--delete-object --type pubkey --id 01");
        store.Install("pkcs11:token=sign-half");
        var test = $"sign-half -PinPath {PinFile("sign-half")} -KeyUri 'pkcs11:object=one'";
        Fails(test, "Sign", "PublicKeyNotFound");

        store.Tool("sign-half", "--set-id 01 --type pubkey --id 02");
        Fails(test, "Sign", "SignatureInvalid");
    }

    [Fact]
    public void A_mechanism_that_the_key_does_not_allow()
    {
        var store = Store("sign-refused");
        store.InitializeToken("sign-refused");
        store.Tool("sign-refused", "--keypairgen --key-type EC:prime256v1 --label key --id 01 --allowed-mechanisms SHA256-HMAC");
        store.Install("pkcs11:token=sign-refused");
        var test = Fails($"sign-refused -PinPath {PinFile("sign-refused")}", "Sign", "MechanismRefused");
        Assert.Equal("CKM_ECDSA: CKR_MECHANISM_INVALID", Detail(test, "Sign"));
    }

    [Fact]
    public void A_key_whose_signatures_cannot_be_verified()
    {
        var store = Store("sign-edwards");
        store.InitializeToken("sign-edwards");
        store.Tool("sign-edwards", "--keypairgen --key-type EC:edwards25519 --label key --id 01");
        store.Install("pkcs11:token=sign-edwards");
        Fails($"sign-edwards -PinPath {PinFile("sign-edwards")}", "Sign", "KeyUnsupported");
    }

    [Fact]
    public void Hidden_mechanisms_are_those_that_this_machines_p11_kit_client_hides()
    {
        Install("sign-hidden");
        var test = Test("sign-hidden");
        var client = sandbox.Shell("find /usr/lib* -name p11-kit-client.so -print -quit").Succeeded();
        var version = Version.Parse(sandbox.Run("dpkg-query", "--show", "--showformat=${Version}", "p11-kit").Succeeded().Split('-')[0]);

        var listed = sandbox.Shell($"P11_KIT_SERVER_ADDRESS=unix:path=/run/sign-hidden/pkcs11 p11tool --provider {client} --list-mechanisms pkcs11:token=sign-hidden").Succeeded();
        var visible = MechanismNumber().Matches(listed).Select(m => ulong.Parse(m.Groups["number"].Value, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture)).ToHashSet();
        Assert.NotEmpty(visible);

        var hidden = test.GetProperty("HiddenMechanisms").EnumerateArray()
            .Where(m => m.GetProperty("VisibleFrom").GetString() is not { } from || Version.Parse(from) > version)
            .Select(m => Text(m, "Name"));
        var mechanisms = test.GetProperty("Mechanisms").EnumerateArray().Select(m => m.GetString()!).ToList();
        Assert.Equal(
            mechanisms.Except(hidden, StringComparer.Ordinal).Order(StringComparer.Ordinal),
            visible.Select(number => Services.Pkcs11.Mechanism.Of(number).Name).Order(StringComparer.Ordinal));
        Assert.True(mechanisms.Count > visible.Count);
        Assert.All(mechanisms, name => Assert.StartsWith("CKM_", name, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("-PinPath /run/sign-no-such-file", "PinFileUnreadable")]
    [InlineData("-PinPath /etc/passwd", "PinFileUnsafe")]
    [InlineData("-PinPath /run/sign-empty", "PinFileMalformed")]
    [InlineData("-Pin ([securestring]::new())", "PinEmpty")]
    [InlineData("-PinPath /x -Pin ([securestring]::new())", "PinAmbiguous")]
    [InlineData("-KeyUri 'pkcs11:id=%01'", "PinRequired")]
    [InlineData("-PinPath /x -KeyUri 'pkcs11:id=%0'", "KeyUriMalformed")]
    [InlineData("-PinPath /x -KeyUri 'pkcs11:id=%01?pin-value=1'", "KeyUriHasPin")]
    [InlineData("-PinPath /x -KeyUri 'pkcs11:slot-id=1'", "KeyUriUnsupported")]
    [InlineData("-PinPath /x -KeyUri 'pkcs11:id=%01;type=cert'", "KeyUriNotPrivate")]
    public void What_cannot_be_signed_with_is_an_error_before_anything(string arguments, string errorId)
    {
        sandbox.WriteFile("/run/sign-empty", "\n", "0600");
        var error = sandbox.HsmRemote($$"""try { Test-P11Socket -SocketPath /run/none {{arguments}} -ErrorAction Stop } catch { $_.FullyQualifiedErrorId }""").SucceededWithOne();
        Assert.StartsWith($"{errorId},", error.GetString(), StringComparison.Ordinal);
    }

    [GeneratedRegex(@"^\[0x(?<number>[0-9a-f]+)\]", RegexOptions.Multiline | RegexOptions.ExplicitCapture, 1000)]
    private static partial Regex MechanismNumber();

    SoftHsmToken Install(string name)
    {
        var token = sandbox.CreateToken(name, Pin);
        sandbox.HsmRemote($"Install-P11KitServer {name} -Group sign-users -GroupId 7201 -TargetUri '{token.Uri}'").SucceededWithOne();
        return token;
    }

    PrivateStore Store(string name) => new(sandbox, name);

    string PinFile(string name, string pin = Pin)
    {
        var path = $"/run/{name}.pin";
        sandbox.WriteFile(path, pin + "\n", "0600");
        return path;
    }

    JsonElement Test(string arguments) => sandbox.HsmRemote($"Test-P11Socket {arguments}").SucceededWithOne();

    JsonElement Fails(string arguments, string check, string cause)
    {
        var test = Test(arguments);
        Assert.False(test.GetProperty("Succeeded").GetBoolean());
        Assert.True((check, cause) == (Text(test, "FailedCheck"), Text(test, "Cause")), test.ToString());
        Assert.NotEmpty(Text(test, "Explanation"));
        Assert.NotEmpty(Text(test, "Remedy"));
        return test;
    }

    static string Detail(JsonElement test, string check) =>
        Text(test.GetProperty("Checks").EnumerateArray().Single(c => string.Equals(Text(c, "Name"), check, StringComparison.Ordinal)), "Detail");

    static string Text(JsonElement element, string property) => element.GetProperty(property).GetString() ?? "";

    /// <summary>A SoftHSM store of its own behind an instance, so that other tests' tokens are not in it.</summary>
    sealed class PrivateStore
    {
        readonly SandboxFixture sandbox;
        readonly string name;

        internal PrivateStore(SandboxFixture sandbox, string name)
        {
            this.sandbox = sandbox;
            this.name = name;
            sandbox.Shell($"mkdir -p {Directory}").Succeeded();
            sandbox.WriteFile(Configuration, $"directories.tokendir = {Directory}\n");
        }

        string Directory => $"/var/lib/softhsm/tokens/{name}";

        string Configuration => $"/etc/{name}-softhsm2.conf";

        internal void Run(string command) => sandbox.Shell($"SOFTHSM2_CONF={Configuration} {command}").Succeeded();

        internal void InitializeToken(string label) => Run($"softhsm2-util --init-token --free --label {label} --pin {Pin} --so-pin {SecurityOfficerPin}");

        internal void Tool(string label, string arguments) => Run($"pkcs11-tool --module {SoftHsmToken.Module} --token-label {label} --login --pin {Pin} {arguments}");

        internal void Install(string target)
        {
            sandbox.HsmRemote($"Install-P11KitServer {name} -TargetUri '{target}'").SucceededWithOne();
            sandbox.WriteFile($"/etc/systemd/system/{name}@.service.d/store.conf", $"[Service]\nEnvironment=SOFTHSM2_CONF={Configuration}\n");
            sandbox.Run("systemctl", "daemon-reload").Succeeded();
        }
    }
}
