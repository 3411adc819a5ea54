namespace HsmRemote.SystemTests;

/// <summary>p11-kit's configuration read by its own rules: 'p11-kit list-modules' is the judge.</summary>
public sealed class ModuleConfigurationTests(SandboxFixture sandbox)
{
    const string SoftHsm = "/usr/lib/softhsm/libsofthsm2.so";
    const string Trust = "p11-kit-trust.so";

    [Fact]
    public void Precedence_merging_priority_names_and_blank_modules_are_p11_kits()
    {
        var modules = new PrivateModules(sandbox, "configuration-rules");
        var libraries = Enumerable.Range(0, 9).Select(i => modules.Build($"library{i}")).ToList();
        // Merged by name: the administrator's priority with the package's library.
        modules.WritePackaged("merged.module", $"module: {libraries[0]}\npriority: 1");
        modules.Write("modules/merged.module", "priority: 7");
        // The administrator's library counts, and the package's other keys.
        modules.WritePackaged("both.module", $"module: /no/such/library.so\npriority: -3");
        modules.Write("modules/both.module", $"  module  :\t{libraries[1]}  \n\n# priority: 100");
        modules.WritePackaged("off.module", $"module: {libraries[2]}");
        modules.Write("modules/off.module", "module:");
        modules.Write("modules/b.module", $"module: {libraries[3]}\npriority: 5 and more");
        modules.Write("modules/A.module", $"module: {libraries[4]}\npriority: +5");
        modules.Write("modules/twice.module", $"module: /no/such/library.so\nmodule: {libraries[5]}");
        modules.Write("modules/odd-name.conf", $"module: {libraries[6]}");
        modules.Write("modules/.hidden.module", $"module: {libraries[7]}");
        modules.Write("modules/nothing.module", "critical: no");
        modules.Write("modules/relative.module", $"module: {Trust}\ntrust-policy: yes");
        sandbox.Shell("mkdir -p /var/tmp/configuration-rules/etc/modules/directory.module").Succeeded();

        AssertSame(modules);
        var all = modules.Objects("Get-Pkcs11Module -ConfigurationOnly").Succeeded().ToDictionary(m => m.GetProperty("Name").GetString()!, StringComparer.Ordinal);
        Assert.Equal("'module:' is blank, which switches it off", all["off"].GetProperty("Reason").GetString());
        Assert.Equal("no file of it has 'module:' or 'remote:'", all["nothing"].GetProperty("Reason").GetString());
        Assert.Equal(
            ["/etc/pkcs11/modules/merged.module", "/usr/share/p11-kit/modules/merged.module"],
            all["merged"].GetProperty("ConfigPath").EnumerateArray().Select(file => file.GetString()));
    }

    [Theory]
    [InlineData("enable-in: other, p11-kit", true)]
    [InlineData("enable-in: p11-kit-proxy other", false)]
    [InlineData("enable-in:", false)]
    [InlineData("disable-in: other,p11-kit", false)]
    [InlineData("disable-in: p11-kit-remote", true)]
    [InlineData("enable-in: p11-kit\ndisable-in: p11-kit", true)]
    public void Enable_in_and_disable_in_are_p11_kits(string line, bool isUsed)
    {
        var modules = new PrivateModules(sandbox, $"configuration-program-{Math.Abs(line.GetHashCode(StringComparison.Ordinal))}");
        modules.Write("modules/some.module", $"module: {modules.Build("library")}\n{line}");
        Assert.Equal(isUsed, AssertSame(modules).Contains("some"));
    }

    [Theory]
    [InlineData("user-config: none", "")]
    [InlineData("user-config: merge", "")]
    [InlineData("user-config: only", "")]
    [InlineData("", "user-config: only")]
    [InlineData("", "user-config: none")]
    [InlineData("user-config: none", "user-config: merge")]
    public void A_users_own_configuration_counts_as_pkcs11_conf_says(string host, string own)
    {
        var name = $"configuration-user-{Math.Abs((host + '|' + own).GetHashCode(StringComparison.Ordinal))}";
        var modules = new PrivateModules(sandbox, name);
        var home = $"/var/tmp/{name}/home";
        modules.Write("modules/host.module", $"module: {modules.Build("host")}");
        modules.Write("modules/both.module", $"module: {modules.Build("both")}\npriority: 1");
        if (host.Length > 0)
            modules.Write("pkcs11.conf", host);
        sandbox.WriteFile($"{home}/.config/pkcs11/modules/own.module", $"module: {modules.Build("own")}\n");
        sandbox.WriteFile($"{home}/.config/pkcs11/modules/both.module", "priority: 9\n");
        if (own.Length > 0)
            sandbox.WriteFile($"{home}/.config/pkcs11/pkcs11.conf", own + "\n");

        foreach (var user in new[] { "0", "65534" })
        {
            string[] asUser = ["setpriv", "--reuid", user, "--clear-groups", "env", $"HOME={home}"];
            AssertSame(
                modules.Run([.. asUser, "p11-kit", "list-modules"]),
                modules.Run([.. asUser, SandboxFixture.ShellPath, "-NoProfile", "-Command", "Get-Pkcs11Module -ConfigurationOnly -ProgramName p11-kit | Where-Object Used | ForEach-Object { \"$($_.Name)|$($_.Path)\" }"]));
        }
    }

    [Theory]
    [InlineData("no colon here", "line 1 has no colon")]
    [InlineData("[section]", "line 1 is a section")]
    public void A_file_that_p11_kit_cannot_read_is_named_and_the_others_are_listed(string content, string why)
    {
        var modules = new PrivateModules(sandbox, $"configuration-malformed-{content.Length}");
        modules.Write("modules/bad.module", content);
        modules.Write("modules/good.module", $"module: {modules.Build("good", "LABEL=\"good\"")}");
        Assert.NotEqual(0, modules.Run("p11-kit", "list-modules").ExitCode);
        var result = modules.HsmRemote("(Get-Pkcs11Token).Label");
        Assert.Equal("good\n", result.StdOut);
        Assert.Contains($"/etc/pkcs11/modules/bad.module: {why}", OneLine(result.StdErr), StringComparison.Ordinal);
        Assert.Contains("no module at all", OneLine(result.StdErr), StringComparison.Ordinal);
    }

    [Fact]
    public void A_server_s_modules_are_asked_for_what_it_exposes_and_one_that_crashes_does_not_end_the_session()
    {
        var modules = new PrivateModules(sandbox, "configuration-server");
        modules.Write("modules/server.module", $"module: {modules.Build("server", "LABEL=\"of servers\"")}\nenable-in: remote, p11-kit-remote");
        modules.Write("modules/session.module", $"module: {modules.Build("session", "LABEL=\"of others\"")}\ndisable-in: remote, p11-kit-remote");
        modules.Write("modules/crash.module", $"module: {modules.Build("crash", "INITIALIZE=abort()")}");
        var result = modules.HsmRemote("(Test-Pkcs11Uri 'pkcs11:manufacturer=Tests').Exposes.Label; 'still here'");
        Assert.Equal("of servers\nstill here", result.Succeeded());
        Assert.Contains("'crash'", result.StdErr, StringComparison.Ordinal);
    }

    [Fact]
    public void What_a_module_is_to_be_initialised_with_it_gets_for_objects_too()
    {
        var modules = new PrivateModules(sandbox, "configuration-reserved");
        // pReserved of CK_C_INITIALIZE_ARGS, behind four functions and the flags.
        modules.Write("modules/strict.module", $"module: {modules.Build("strict", "INITIALIZE=return ((char**)arguments)[5]&&!strcmp(((char**)arguments)[5],\"configdir=/x\")?0:7")}\nx-init-reserved: configdir=/x");
        Assert.Equal("token 0", modules.HsmRemote("(Get-Pkcs11Token).Label").Succeeded());
        // It has no objects to search for, which is later than C_Initialize.
        Assert.Contains("C_FindObjectsInit failed with CKR_FUNCTION_NOT_SUPPORTED", OneLine(modules.HsmRemote("Get-Pkcs11Object -Module strict").StdErr), StringComparison.Ordinal);
    }

    [Fact]
    public void A_byte_order_mark_is_part_of_the_first_key_as_it_is_to_p11_kit()
    {
        var modules = new PrivateModules(sandbox, "configuration-mark");
        modules.Write("modules/mark.module", $"\uFEFFmodule: {modules.Build("mark")}");
        modules.Write("modules/plain.module", $"module: {modules.Build("plain")}");
        Assert.Equal(["plain"], AssertSame(modules));
    }

    [Fact]
    public void A_library_of_two_names_is_one_module_as_in_p11_kit()
    {
        var modules = new PrivateModules(sandbox, "configuration-twice");
        modules.Write("modules/a.module", $"module: {modules.Build("library")}");
        sandbox.Shell("ln -s library.so /var/tmp/configuration-twice/link.so; ln -s configuration-twice /var/tmp/configuration-linked").Succeeded();
        modules.Write("modules/b.module", "module: /var/tmp/configuration-twice/link.so");
        modules.Write("modules/c.module", "module: /var/tmp/configuration-linked/library.so");
        modules.Write("modules/d.module", "module: /var/tmp/../tmp/configuration-twice/library.so");
        Assert.Single(Listed(modules.Run("p11-kit", "list-modules").Succeeded()));
        var all = modules.Objects("Get-Pkcs11Module").Succeeded();
        Assert.Equal([null, "it is the same library as 'a'", "it is the same library as 'a'", "it is the same library as 'a'"], all.Select(module => module.GetProperty("Reason").GetString()));
        Assert.Single(modules.Objects("Get-Pkcs11Token").Succeeded());
    }

    [Fact]
    public void A_command_a_socket_and_what_cannot_be_reached_are_read_as_remote_says()
    {
        var modules = new PrivateModules(sandbox, "configuration-remote");
        modules.CreateToken("configuration remote");
        modules.Write("modules/command.module", $"remote: |p11-kit remote '{SoftHsm}'");
        modules.Write("modules/quoted.module", "remote: |sh -c \"exec p11-kit remote /usr/lib/softhsm\\\"/libsofthsm2.so\\\"\"");
        modules.Write("modules/fails.module", "remote: |/bin/false");
        modules.Write("modules/missing.module", "remote: |no-such-program at all");
        modules.Write("modules/nowhere.module", "remote: unix:path=/no/such/socket");
        modules.Write("modules/machine.module", "remote: vsock:cid=4294967290;port=1");
        modules.Write("modules/nonsense.module", "remote: tcp:localhost");
        var result = modules.HsmRemote("Get-Pkcs11Token -TimeoutSeconds 20 | ForEach-Object { \"$($_.Module) $($_.Label)\" }; $Error.ForEach{ \"$($_.FullyQualifiedErrorId)\" }");
        var output = result.StdOut.Split('\n');
        Assert.Contains("command configuration remote", output);
        Assert.Contains("quoted configuration remote", output);
        var tool = modules.Run("pkcs11-tool", "--module", SoftHsm, "--login", "--pin", "1234", "--keypairgen", "--key-type", "EC:prime256v1", "--label", "behind", "--id", "01");
        tool.Succeeded();
        Assert.Equal("behind", modules.HsmRemote("(Get-Pkcs11Token -Module command 'configuration remote' | Get-Pkcs11Object).Label").Succeeded());
        var errors = OneLine(result.StdErr);
        Assert.Contains("'fails' (|/bin/false) failed: its process ended with status 1", errors, StringComparison.Ordinal);
        Assert.Contains("'missing' (|no-such-program at all) failed: 'no-such-program' is not on PATH", errors, StringComparison.Ordinal);
        Assert.Contains("'nowhere' (unix:path=/no/such/socket) failed: No such file or directory", errors, StringComparison.Ordinal);
        Assert.Contains("'machine' (vsock:cid=4294967290;port=1) failed: AF_VSOCK cannot be connected to cid 4294967290, port 1", errors, StringComparison.Ordinal);
        Assert.Contains("'nonsense' has an address that p11-kit cannot use", errors, StringComparison.Ordinal);
    }

    static string OneLine(string text) => string.Join(' ', text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));

    static List<string> AssertSame(PrivateModules modules) => AssertSame(
        modules.Run("p11-kit", "list-modules"),
        modules.HsmRemote("Get-Pkcs11Module -ConfigurationOnly -ProgramName p11-kit | Where-Object Used | ForEach-Object { \"$($_.Name)|$($_.Path)\" }"));

    /// <summary>Names, paths and order; what p11-kit could not load it does not list.</summary>
    static List<string> AssertSame(CommandResult p11Kit, CommandResult ours)
    {
        var expected = Listed(p11Kit.Succeeded());
        var found = ours.Succeeded().Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => line.Split('|')).ToList();
        Assert.Equal(expected.Select(module => module.Name), found.Select(module => module[0]));
        Assert.All(expected.Zip(found), pair => Assert.EndsWith(pair.First.Path, pair.Second[1], StringComparison.Ordinal));
        return [.. expected.Select(module => module.Name)];
    }

    static List<(string Name, string Path)> Listed(string output) =>
        [.. output.Split('\n').Where(line => line.Length > 0 && !char.IsWhiteSpace(line[0])).Select(line => line.Split(": ", 2)).Select(parts => (parts[0], parts[1]))];
}
