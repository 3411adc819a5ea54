using System.Text.Json;

namespace HsmRemote.SystemTests;

/// <summary>Get-Pkcs11Token beside p11tool on the same machine.</summary>
public sealed class TokenTests(OwnSandbox own) : IClassFixture<OwnSandbox>
{
    // gnutls sees the first 48 tokens of a module, and the other classes make more.
    readonly SandboxFixture sandbox = own.Fixture;

    [Theory]
    [InlineData("plain")]
    [InlineData("space; %=a/b?c#d&e")]
    [InlineData("Größe-ключ-鍵")]
    [InlineData("exactly-32-bytes-long-aaaaaaaaaa")]
    public void A_tokens_URI_is_byte_for_byte_p11tools(string label)
    {
        // In a store of its own: p11tool looks at 48 slots of a module, and other tests make tokens too.
        var modules = new PrivateModules(sandbox, $"token-uri-{label.Length}", withPackages: true);
        modules.CreateToken(label);
        var token = modules.Objects($"Get-Pkcs11Token -Label '{label}'").SucceededWithOne();
        Assert.Equal(label, token.GetProperty("Label").GetString());
        Assert.Contains(token.GetProperty("Uri").GetString(), modules.Run("p11tool", "--list-token-urls").Succeeded().Split('\n'));
        Assert.Equal("softhsm2", token.GetProperty("Module").GetString());
        Assert.Contains("TokenInitialized", token.GetProperty("Flags").GetString(), StringComparison.Ordinal);
    }

    [Fact]
    public void The_list_is_p11tools_without_trust_and_uninitialised_slots_unless_they_are_asked_for()
    {
        // Other tests make tokens meanwhile, in a store of their own: this one has its own too.
        sandbox.Shell("mkdir -p /var/tmp/token-list/tokens; echo 'directories.tokendir = /var/tmp/token-list/tokens' > /var/tmp/token-list/conf; SOFTHSM2_CONF=/var/tmp/token-list/conf softhsm2-util --init-token --free --label token-list --pin 1234 --so-pin 5678")
            .Succeeded();
        const string Conf = "$env:SOFTHSM2_CONF = '/var/tmp/token-list/conf'; ";
        var p11tool = sandbox.Shell("SOFTHSM2_CONF=/var/tmp/token-list/conf p11tool --list-token-urls").Succeeded().Split('\n');

        Assert.Equal("token-list", sandbox.HsmRemote($"{Conf} Get-Pkcs11Token").SucceededWithOne().GetProperty("Label").GetString());
        var withTrust = sandbox.HsmRemote($"{Conf} Get-Pkcs11Token -IncludeTrust").Succeeded();
        Assert.Contains(withTrust, t => t.GetProperty("IsTrustModule").GetBoolean());
        var all = sandbox.HsmRemote($"{Conf} Get-Pkcs11Token -IncludeTrust -IncludeUninitialized").Succeeded();
        Assert.Contains(all, t => !t.GetProperty("IsInitialized").GetBoolean());
        Assert.Equal(p11tool.Order(StringComparer.Ordinal), Uris(all).Where(p11tool.Contains).Order(StringComparer.Ordinal));
        Assert.All(all, t => Assert.True(p11tool.Contains(t.GetProperty("Uri").GetString()) || !t.GetProperty("IsInitialized").GetBoolean(), t.ToString()));
    }

    [Fact]
    public void The_environment_is_that_of_the_session_at_each_call()
    {
        foreach (var store in new[] { "a", "b" })
        {
            sandbox.Shell($"mkdir -p /var/tmp/token-env-{store}/tokens; echo 'directories.tokendir = /var/tmp/token-env-{store}/tokens' > /var/tmp/token-env-{store}/conf; SOFTHSM2_CONF=/var/tmp/token-env-{store}/conf softhsm2-util --init-token --free --label token-env-{store} --pin 1234 --so-pin 5678")
                .Succeeded();
        }

        var labels = sandbox.HsmRemote("""
            foreach ($store in 'a', 'b', 'a') { $env:SOFTHSM2_CONF = "/var/tmp/token-env-$store/conf"; (Get-Pkcs11Token).Label }
            $env:SOFTHSM2_CONF = $null
            (Get-Pkcs11Token token-env-*).Label
            """).Succeeded().Select(e => e.GetString());
        Assert.Equal(["token-env-a", "token-env-b", "token-env-a"], labels.Where(l => l is not null));
    }

    [Fact]
    public void A_token_is_found_by_label_URI_module_name_and_module_path()
    {
        var token = sandbox.CreateToken("token-found");
        foreach (var query in new[]
        {
            "token-fou*", "-Label TOKEN-FOUND", $"-Uri '{token.Uri}'", $"-Uri '{token.Uri};object=key;type=private'", "token-found -Module softhsm2",
            "token-found -Module /usr/lib/softhsm/libsofthsm2.so",
        })
        {
            Assert.Equal("token-found", sandbox.HsmRemote($"Get-Pkcs11Token {query}").SucceededWithOne().GetProperty("Label").GetString());
        }
    }

    [Fact]
    public void Through_a_socket_the_token_is_the_same()
    {
        var token = sandbox.CreateToken("token-socket");
        sandbox.HsmRemote($"Install-P11KitServer token-socket -TargetUri '{token.Uri}'").SucceededWithOne();
        var direct = sandbox.HsmRemote("Get-Pkcs11Token token-socket").SucceededWithOne();
        foreach (var query in new[] { "-Name token-socket", "-SocketPath /run/token-socket/pkcs11" })
        {
            var remote = sandbox.HsmRemote($"Get-Pkcs11Token {query}").SucceededWithOne();
            foreach (var property in direct.EnumerateObject().Where(p => p.Name is not ("SlotId" or "Module" or "ModulePath" or "SocketPath" or "SessionCount" or "ReadWriteSessionCount")))
                Assert.Equal(property.Value.ToString(), remote.GetProperty(property.Name).ToString());
            Assert.Equal("/run/token-socket/pkcs11", remote.GetProperty("SocketPath").GetString());
        }
    }

    [Fact]
    public void A_module_that_is_missing_or_broken_is_named_and_the_others_are_listed()
    {
        // Modules are the whole system's, so this test has a mount namespace of its own for them.
        sandbox.CreateToken("token-others");
        var result = sandbox.Shell($$"""
            unshare --mount bash -euc '
                mkdir -p /etc/pkcs11/modules; mount -t tmpfs tmpfs /etc/pkcs11/modules
                echo "module: /no/such/module.so" > /etc/pkcs11/modules/token-missing.module
                echo "module: /bin/true" > /etc/pkcs11/modules/token-broken.module
                echo "remote: tcp:nowhere" > /etc/pkcs11/modules/token-remote.module
                {{SandboxFixture.ShellPath}} -NoProfile -Command "(Get-Pkcs11Token token-others).Label; \$Error.ForEach{ \$_.FullyQualifiedErrorId }"' || true
            """);
        Assert.Contains("token-others\n", result.StdOut, StringComparison.Ordinal);
        Assert.Contains("ModuleMissing,", result.StdOut, StringComparison.Ordinal);
        Assert.Contains("ModuleFailed,", result.StdOut, StringComparison.Ordinal);
        Assert.Contains("ModuleNotReadable,", result.StdOut, StringComparison.Ordinal);
        Assert.Contains("token-missing", result.StdErr, StringComparison.Ordinal);
        Assert.Contains("token-broken", result.StdErr, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("no-such-token", "TokenNotFound")]
    [InlineData("-Uri pkcs11:token=no-such-token", "TokenNotFound")]
    [InlineData("-Uri pkcs11:token", "UriMalformed")]
    [InlineData("-Module no-such-module", "ModuleNotFound")]
    [InlineData("-Module /no/such.so", "ModuleMissing")]
    [InlineData("-Name no-such-server", "ServerNotFound")]
    [InlineData("-SocketPath /run/no-such-socket", "SocketUnreadable")]
    public void What_is_not_there_is_an_error_that_names_it(string arguments, string errorId)
    {
        var error = sandbox.HsmRemote($$"""try { Get-Pkcs11Token {{arguments}} -ErrorAction Stop } catch { $_.FullyQualifiedErrorId }""").SucceededWithOne();
        Assert.StartsWith($"{errorId},", error.GetString(), StringComparison.Ordinal);
    }

    static IEnumerable<string> Uris(IEnumerable<JsonElement> tokens) => tokens.Select(t => t.GetProperty("Uri").GetString()!);

    [Fact]
    public void Every_field_that_p11tool_prints_is_the_same()
    {
        var modules = SeveralKinds("token-p11tool");
        var tokens = modules.Objects("Get-Pkcs11Token -IncludeTrust -IncludeUninitialized").Succeeded();
        // p11tool leaves out a slot whose token is not initialised.
        var sections = modules.Run("p11tool", "--list-tokens").Succeeded().Split("Token ", StringSplitOptions.RemoveEmptyEntries).Select(Fields).ToList();
        Assert.True(sections.Count >= 4, "There is too little to compare.");
        foreach (var section in sections)
        {
            var token = Assert.Single(tokens, t => t.GetProperty("Uri").ValueEquals(section["URL"]));
            Assert.Equal(section["Label"], Text("Label"));
            Assert.Equal(section["Type"], Text("Type"));
            Assert.Equal(section["Manufacturer"], Text("Manufacturer"));
            Assert.Equal(section["Model"], Text("Model"));
            Assert.Equal(section["Serial"], Text("SerialNumber"));
            Assert.EndsWith(section["Module"], Text("ModulePath"), StringComparison.Ordinal);
            var flags = Text("Flags").Split(", ");
            foreach (var (theirs, ours) in new[] { ("RNG", "Rng"), ("Requires login", "LoginRequired"), ("External PIN", "ProtectedAuthenticationPath"), ("uPIN low count", "UserPinCountLow"), ("SO-PIN locked", "SoPinLocked") })
                Assert.Equal(section["Flags"].Split(", ").Contains(theirs), flags.Contains(ours));
            foreach (var (theirs, ours) in new[] { ("Uninitialized", "TokenInitialized"), ("uPIN uninitialized", "UserPinInitialized") })
                Assert.Equal(section["Flags"].Split(", ").Contains(theirs), !flags.Contains(ours));

            string Text(string property) => token.GetProperty(property).GetString()!;
        }

        Assert.Equal(sections.Select(section => section["URL"]), tokens.Where(t => t.GetProperty("IsInitialized").GetBoolean()).Select(t => t.GetProperty("Uri").GetString()));
    }

    [Theory]
    [InlineData("softhsm2", "/usr/lib/softhsm/libsofthsm2.so")]
    [InlineData("hardware", "/var/tmp/token-pkcs11-tool-hardware/hardware.so")]
    [InlineData("p11-kit-trust", "p11-kit-trust.so")]
    public void Every_field_that_pkcs11_tool_prints_is_the_same(string module, string library)
    {
        var modules = SeveralKinds($"token-pkcs11-tool-{module}");
        var tokens = modules.Objects($"Get-Pkcs11Token -Module {module} -IncludeTrust -IncludeUninitialized").Succeeded();
        var path = library.Contains('/', StringComparison.Ordinal) ? library : $"/usr/lib/x86_64-linux-gnu/pkcs11/{library}";
        var sections = modules.Run("pkcs11-tool", "--module", path, "--list-slots", "--verbose").Succeeded().Split("\nSlot ").Skip(1).ToList();
        Assert.Equal(sections.Count, tokens.Length);
        foreach (var (section, token) in sections.Zip(tokens))
        {
            // "0 (0x1a2b): the slot's description"
            var head = section.Split('\n')[0];
            Assert.Equal($"0x{token.GetProperty("SlotId").GetUInt64():x}", head.Split('(', ')')[1]);
            Assert.Equal(head.Split("): ", 2)[1].TrimEnd(), Text("SlotDescription"));
            var fields = Fields(section);
            Assert.Equal(fields["manufacturer"], Text("SlotManufacturer"));
            Assert.Equal(fields["hardware ver"], Text("SlotHardwareVersion"));
            Assert.Equal(fields["firmware ver"], Text("SlotFirmwareVersion"));
            Assert.Equal(
                fields["flags"].Split(", "),
                Names("SlotFlags", ("TokenPresent", "token present"), ("RemovableDevice", "removable device"), ("HardwareSlot", "hardware slot")));
            if (fields.TryGetValue("token state", out var state))
            {
                Assert.Equal("uninitialized", state);
                Assert.DoesNotContain("TokenInitialized", Text("Flags"), StringComparison.Ordinal);
                continue;
            }

            Assert.Equal(fields["token label"], Text("Label"));
            Assert.Equal(fields["token manufacturer"], Text("Manufacturer"));
            Assert.Equal(fields["token model"], Text("Model"));
            Assert.Equal(fields["serial num"], Text("SerialNumber"));
            Assert.Equal(fields["pin min/max"], $"{token.GetProperty("MinPinLength")}/{token.GetProperty("MaxPinLength")}");
            Assert.Equal(fields["hardware version"], Text("HardwareVersion"));
            Assert.Equal(fields["firmware version"], Text("FirmwareVersion"));
            // In pkcs11-tool's own order; what it has no name for it gives as a number.
            Assert.Equal(
                fields["token flags"].Split(", ").Where(flag => !flag.StartsWith("other", StringComparison.Ordinal)),
                Names(
                    "Flags", ("LoginRequired", "login required"), ("ProtectedAuthenticationPath", "PIN pad present"), ("Rng", "rng"),
                    ("TokenInitialized", "token initialized"), ("UserPinInitialized", "PIN initialized"), ("WriteProtected", "readonly"),
                    ("UserPinCountLow", "user PIN count low"), ("UserPinFinalTry", "final user PIN try"), ("UserPinLocked", "user PIN locked"), ("UserPinToBeChanged", "user PIN to be changed"),
                    ("SoPinCountLow", "SO PIN count low"), ("SoPinFinalTry", "final SO PIN try"), ("SoPinLocked", "SO PIN locked"), ("SoPinToBeChanged", "SO PIN to be changed")).Order(new AsIn(fields["token flags"])));

            string Text(string property) => token.GetProperty(property).GetString()!;

            IEnumerable<string> Names(string property, params (string Ours, string Theirs)[] names) =>
                names.Where(name => Text(property).Split(", ").Contains(name.Ours)).Select(name => name.Theirs);
        }
    }

    /// <summary>SoftHSM with two tokens and a slot that has none, p11-kit's trust, OpenSC without a reader, and one that calls itself hardware.</summary>
    PrivateModules SeveralKinds(string name)
    {
        var modules = new PrivateModules(sandbox, name, withPackages: true);
        modules.CreateToken("first, of two");
        modules.CreateToken("zweites Täubchen");
        modules.Write("modules/hardware.module", $"module: {modules.Build("hardware", "SLOT_FLAGS=7", "LABEL=\"hard %lu\"", "SLOTS=2", "TOKEN_FLAGS=0x10505")}");
        modules.Write("modules/trusted.module", $"module: {modules.Build("trusted", "DESCRIPTION=\"p11tool takes two that say the same for one\"", "SLOT_FLAGS=5", "LABEL=\"trusted\"")}\ntrust-policy: yes");
        return modules;
    }

    static Dictionary<string, string> Fields(string section) =>
        section.Split('\n').Skip(1).Where(line => line.Contains(':', StringComparison.Ordinal)).Select(line => line.Split(':', 2, StringSplitOptions.TrimEntries))
            .ToDictionary(pair => pair[0], pair => pair[1], StringComparer.Ordinal);

    sealed class AsIn(string text) : IComparer<string>
    {
        public int Compare(string? x, string? y) => text.IndexOf(x!, StringComparison.Ordinal).CompareTo(text.IndexOf(y!, StringComparison.Ordinal));
    }
}
