using System.Text.Json;

namespace HsmRemote.SystemTests;

/// <summary>Get-Pkcs11Module, Register-Pkcs11Module and Unregister-Pkcs11Module: 'p11-kit list-modules' is the judge.</summary>
public sealed class ModuleTests(SandboxFixture sandbox)
{
    const string SoftHsm = "/usr/lib/softhsm/libsofthsm2.so";

    [Fact]
    public void A_module_is_registered_by_its_name_once_and_goes_without_trace()
    {
        var modules = new PrivateModules(sandbox, "module-name");
        var whatIf = modules.HsmRemote("Register-Pkcs11Module softhsm libsofthsm2.so -Priority 3 -WhatIf");
        Assert.Contains("+module: /usr/lib/", whatIf.StdOut, StringComparison.Ordinal);
        Assert.DoesNotContain("softhsm:", modules.Run("p11-kit", "list-modules").StdOut, StringComparison.Ordinal);

        const string Register = "Register-Pkcs11Module softhsm libsofthsm2.so -Priority 3";
        var registered = modules.Objects(Register).SucceededWithOne();
        Assert.True(registered.GetProperty("Changed").GetBoolean());
        Assert.Matches("(?m)^softhsm: /usr/lib/.*libsofthsm2.so$", modules.Run("p11-kit", "list-modules").Succeeded());
        Assert.False(modules.Objects(Register).SucceededWithOne().GetProperty("Changed").GetBoolean());

        // What is not asked for stays.
        sandbox.Shell("sed -i '1i # mine' /var/tmp/module-name/etc/modules/softhsm.module; echo 'log-calls: no' >> /var/tmp/module-name/etc/modules/softhsm.module").Succeeded();
        Assert.True(modules.Objects("Register-Pkcs11Module softhsm libsofthsm2.so -Critical -DisableIn one, two").SucceededWithOne().GetProperty("Changed").GetBoolean());
        var module = modules.Objects("Get-Pkcs11Module softhsm").SucceededWithOne();
        Assert.Equal((3, true, true), (module.GetProperty("Priority").GetInt32(), module.GetProperty("Critical").GetBoolean(), module.GetProperty("Loads").GetBoolean()));
        Assert.Equal("SoftHSM", module.GetProperty("LibraryManufacturer").GetString());
        Assert.Equal("no", module.GetProperty("Options").GetProperty("log-calls").GetString());
        Assert.Equal("one, two", module.GetProperty("Options").GetProperty("disable-in").GetString());
        Assert.StartsWith("# mine\n", sandbox.Shell("cat /var/tmp/module-name/etc/modules/softhsm.module").StdOut, StringComparison.Ordinal);

        Assert.True(modules.Objects("Unregister-Pkcs11Module softhsm").SucceededWithOne().GetProperty("Changed").GetBoolean());
        Assert.False(modules.Objects("Unregister-Pkcs11Module softhsm").SucceededWithOne().GetProperty("Changed").GetBoolean());
        Assert.Empty(sandbox.Shell("ls -A /var/tmp/module-name/etc/modules").Succeeded());
    }

    [Theory]
    [InlineData("/var/tmp/module-path/with # hash: colon and  blanks.so")]
    [InlineData("/var/tmp/module-path/schlüssel-鍵.so")]
    [InlineData("/var/tmp/module-path/#.so")]
    [InlineData("/var/tmp/module-path/it's \"quoted\" %20 $HOME.so")]
    public void An_odd_path_is_read_back_by_p11_kit_as_it_is(string path)
    {
        var modules = new PrivateModules(sandbox, "module-path" + path.Length);
        sandbox.Run("install", "-D", SoftHsm, path).Succeeded();
        modules.Objects($"Register-Pkcs11Module odd '{path.Replace("'", "''", StringComparison.Ordinal)}'").SucceededWithOne();
        Assert.Contains($"odd: {path}\n", modules.Run("p11-kit", "list-modules").StdOut, StringComparison.Ordinal);
        Assert.Equal(path, modules.Objects("Get-Pkcs11Module odd").SucceededWithOne().GetProperty("Path").GetString());
    }

    [Theory]
    [InlineData("'a/b' libsofthsm2.so")]
    [InlineData("'.hidden' libsofthsm2.so")]
    [InlineData("\"a`nb\" softhsm.so")]
    [InlineData("'ü' softhsm.so")]
    [InlineData("name \"/tmp/a`nmodule: /tmp/b.so\" -Force")]
    [InlineData("name \"/tmp/a`0b.so\" -Force")]
    [InlineData("name '/tmp/trailing ' -Force")]
    [InlineData("name -Remote 'unix:path=relative'")]
    [InlineData("name -Remote \"unix:path=/run/x`nmodule: /tmp/b.so\"")]
    [InlineData("name -Remote 'tcp:1'")]
    [InlineData("name -Remote 'vsock:port=1'")]
    [InlineData("name libsofthsm2.so -EnableIn 'two words'")]
    public void What_p11_kit_would_not_read_back_is_refused(string arguments)
    {
        var modules = new PrivateModules(sandbox, "module-refused");
        var result = modules.HsmRemote($"Register-Pkcs11Module {arguments} -ErrorAction SilentlyContinue; $Error[0].FullyQualifiedErrorId");
        Assert.Equal("ModuleValueInvalid,HsmRemote.Commands.RegisterPkcs11ModuleCommand\n", result.StdOut);
        Assert.Empty(sandbox.Shell("ls -A /var/tmp/module-refused/etc/modules").Succeeded());
    }

    [Theory]
    [InlineData("name no-such-library.so", "ModuleLibraryNotFound")]
    [InlineData("name /no/such/library.so", "ModuleLibraryNotFound")]
    [InlineData("name /bin/true", "ModuleDoesNotLoad")]
    public void A_library_that_is_not_there_or_is_none_needs_Force(string arguments, string errorId)
    {
        var modules = new PrivateModules(sandbox, "module-force" + arguments.Length);
        Assert.StartsWith(errorId + ',', modules.HsmRemote($"Register-Pkcs11Module {arguments} -ErrorAction SilentlyContinue; $Error[0].FullyQualifiedErrorId").StdOut, StringComparison.Ordinal);
        if (arguments.Contains('/', StringComparison.Ordinal))
            Assert.True(modules.Objects($"Register-Pkcs11Module {arguments} -Force").SucceededWithOne().GetProperty("Changed").GetBoolean());
    }

    [Fact]
    public void A_packages_module_is_switched_off_and_on_again_but_never_removed()
    {
        var modules = new PrivateModules(sandbox, "module-package", withPackages: true);
        var error = modules.HsmRemote("Unregister-Pkcs11Module softhsm2");
        Assert.NotEqual(0, error.ExitCode);
        Assert.Contains("Register-Pkcs11Module -Name softhsm2 -Disabled", string.Join(' ', error.StdErr.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)), StringComparison.Ordinal);
        Assert.Contains("softhsm2:", modules.Run("p11-kit", "list-modules").StdOut, StringComparison.Ordinal);

        modules.Objects("Register-Pkcs11Module softhsm2 -Disabled").SucceededWithOne();
        Assert.DoesNotContain("softhsm2:", modules.Run("p11-kit", "list-modules").StdOut, StringComparison.Ordinal);
        var module = modules.Objects("Get-Pkcs11Module softhsm2").SucceededWithOne();
        Assert.Equal((false, JsonValueKind.Null), (module.GetProperty("Used").GetBoolean(), module.GetProperty("Loads").ValueKind));

        var back = modules.HsmRemote("(Unregister-Pkcs11Module softhsm2).Changed");
        Assert.Contains("True", back.StdOut, StringComparison.Ordinal);
        Assert.Contains("counts again", back.StdOut + back.StdErr, StringComparison.Ordinal);
        Assert.Contains("softhsm2:", modules.Run("p11-kit", "list-modules").StdOut, StringComparison.Ordinal);
    }

    [Fact]
    public void A_file_of_a_package_in_the_hosts_directory_is_left_alone()
    {
        // dpkg knows this file, which no other test has, and the test's own directory takes its place.
        var modules = new PrivateModules(sandbox, "module-dpkg");
        modules.Write("modules/packaged.module", $"module: {SoftHsm}");
        sandbox.Shell("echo /etc/pkcs11/modules/packaged.module >> /var/lib/dpkg/info/softhsm2.list").Succeeded();
        var error = modules.HsmRemote("Unregister-Pkcs11Module packaged -ErrorAction SilentlyContinue; $Error[0].FullyQualifiedErrorId; \"$($Error[0])\"");
        Assert.StartsWith("ModuleOfPackage,", error.StdOut, StringComparison.Ordinal);
        Assert.Contains("belongs to the package softhsm2", error.StdOut, StringComparison.Ordinal);
    }

    [Fact]
    public void A_client_of_this_hosts_own_server_is_warned_of_unless_servers_do_not_get_it()
    {
        sandbox.HsmRemote("Install-P11KitServer module-loop").SucceededWithOne();
        var modules = new PrivateModules(sandbox, "module-loop");
        const string Register = "Register-Pkcs11Module loop -Remote unix:path=/run/module-loop/pkcs11";
        var warned = modules.HsmRemote(Register);
        Assert.Contains("'module-loop' would load 'loop' too", string.Join(' ', (warned.StdOut + warned.StdErr).Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)), StringComparison.Ordinal);
        var kept = modules.HsmRemote($"{Register} -DisableIn remote, p11-kit-remote");
        Assert.DoesNotContain("would load", kept.StdOut + kept.StdErr, StringComparison.Ordinal);
    }

    [Fact]
    public void A_user_registers_for_themselves_and_is_told_what_needs_root()
    {
        var modules = new PrivateModules(sandbox, "module-user");
        sandbox.Shell("install -d -o 65534 /var/tmp/module-user/home").Succeeded();
        string[] asUser = ["setpriv", "--reuid", "65534", "--clear-groups", "env", "HOME=/var/tmp/module-user/home", SandboxFixture.ShellPath, "-NoProfile", "-Command"];
        modules.Run([.. asUser, "Register-Pkcs11Module own libsofthsm2.so"]).Succeeded();
        Assert.Equal("nobody 644", sandbox.Shell("stat -c '%U %a' /var/tmp/module-user/home/.config/pkcs11/modules/own.module").Succeeded());
        Assert.Contains("own:", modules.Run("setpriv", "--reuid", "65534", "--clear-groups", "env", "HOME=/var/tmp/module-user/home", "p11-kit", "list-modules").StdOut, StringComparison.Ordinal);
        Assert.Contains("needs root", modules.Run([.. asUser, "Register-Pkcs11Module own libsofthsm2.so -Scope System"]).StdErr, StringComparison.Ordinal);
        // The host's file of a name adds to the user's, and its 'remote:' counts before any 'module:'.
        modules.Write("modules/far.module", "remote: |/bin/false");
        var refused = modules.Run([.. asUser, "Register-Pkcs11Module far libsofthsm2.so"]);
        Assert.Contains("/etc/pkcs11/modules/far.module has 'remote:'", string.Join(' ', refused.StdErr.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)), StringComparison.Ordinal);
        Assert.Contains("ModuleScopeUnused", modules.HsmRemote("Register-Pkcs11Module own libsofthsm2.so -Scope User -ErrorAction SilentlyContinue; $Error[0].FullyQualifiedErrorId").StdOut, StringComparison.Ordinal);
    }

    [Fact]
    public void What_does_not_load_is_shown_with_the_reason_and_its_name_goes_on_to_the_tokens()
    {
        var modules = new PrivateModules(sandbox, "module-loads");
        modules.Write("modules/missing.module", "module: /no/such/library.so");
        modules.Write("modules/good.module", $"module: {modules.Build("good", "LABEL=\"module loads\"")}");
        var shown = modules.Objects("Get-Pkcs11Module").Succeeded().ToDictionary(m => m.GetProperty("Name").GetString()!, StringComparer.Ordinal);
        Assert.False(shown["missing"].GetProperty("Loads").GetBoolean());
        Assert.Contains("is not there", shown["missing"].GetProperty("Failure").GetString(), StringComparison.Ordinal);
        Assert.Equal("module loads", modules.Objects("Get-Pkcs11Module good | Get-Pkcs11Token").SucceededWithOne().GetProperty("Label").GetString());
        Assert.Contains("ModuleNotFound", modules.HsmRemote("Get-Pkcs11Module nothing -ErrorAction SilentlyContinue; $Error[0].FullyQualifiedErrorId").StdOut, StringComparison.Ordinal);
    }
}
