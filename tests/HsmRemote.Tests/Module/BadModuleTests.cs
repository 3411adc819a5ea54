using System.Diagnostics;

namespace HsmRemote.Tests.Module;

/// <summary>Get-Pkcs11Token with modules that crash, hang, lie or leave.</summary>
public sealed class BadModuleTests(Engine engine) : IDisposable
{
    readonly DirectoryInfo directory = Directory.CreateTempSubdirectory("hsmremote-tests-");

    public void Dispose() => directory.Delete(recursive: true);

    [Theory]
    [InlineData("INITIALIZE=abort()", "ModuleFailed", "ended with signal 6 in C_Initialize")]
    [InlineData("INITIALIZE=exit(3)", "ModuleFailed", "ended with status 3 in C_Initialize")]
    [InlineData("TOKEN_INFO=*(volatile int *)8=1", "ModuleFailed", "ended with signal 11 in C_GetTokenInfo")]
    [InlineData("TOKEN_INFO=exit(0)", "ModuleFailed", "ended with status 0 in C_GetTokenInfo")]
    [InlineData("INITIALIZE=pause()", "ModuleTimedOut", "did not answer in 2 s")]
    [InlineData("TOKEN_INFO=pause()", "ModuleTimedOut", "did not answer in 2 s")]
    public void Isolated_a_module_that_crashes_exits_or_hangs_is_named(string behaviour, string errorId, string why)
    {
        var module = TestModule.Build(directory, behaviour);
        var error = engine.Run($"Get-Pkcs11Token -Module '{module}' -Isolated -TimeoutSeconds {(errorId is "ModuleTimedOut" ? 2 : 60)}").Error;
        Assert.StartsWith($"{errorId},", error.FullyQualifiedErrorId, StringComparison.Ordinal);
        Assert.Contains($"'{Path.GetFileNameWithoutExtension(module)}' ({module})", error.ToString(), StringComparison.Ordinal);
        Assert.Contains(why, error.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void What_is_no_library_is_said_in_the_words_of_the_loader()
    {
        var error = engine.Run("Get-Pkcs11Token -Module /etc/passwd").Error;
        Assert.Equal("The module 'passwd' (/etc/passwd) failed: the library cannot be loaded: /etc/passwd: invalid ELF header.", error.ToString());
        Assert.Contains("ldd /etc/passwd", error.ErrorDetails.RecommendedAction, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("")]
    [InlineData("-Isolated")]
    public void Ctrl_C_ends_the_wait_for_a_module_that_hangs(string isolated)
    {
        // By then it has been said which one hangs.
        var module = TestModule.Build(directory, "INITIALIZE=pause()");
        Assert.InRange(engine.RunAndStop($"Get-Pkcs11Token -Module '{module}' {isolated} -TimeoutSeconds 3600 -WarningVariable global:warnings"), TimeSpan.Zero, TimeSpan.FromSeconds(20));
        Assert.Contains($"({module}) has not answered for 2 s", Assert.Single(engine.Run("\"$warnings\"").Output).ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void What_takes_more_than_a_second_shows_what_it_is_doing_until_it_is_done()
    {
        var module = TestModule.Build(directory, "INITIALIZE=sleep(3);return 0");
        var result = engine.Run($"Get-Pkcs11Token -Module '{module}' -Verbose");
        Assert.Contains(result.Progress, record => record.Activity is "Get-Pkcs11Token" && record.StatusDescription.StartsWith($"Read the module {Path.GetFileNameWithoutExtension(module)} ({module}), ", StringComparison.Ordinal));
        Assert.Equal(System.Management.Automation.ProgressRecordType.Completed, result.Progress[^1].RecordType);
        Assert.Contains(result.Verbose, message => message.StartsWith($"Read the module {Path.GetFileNameWithoutExtension(module)} ({module}): tokens: 1 (", StringComparison.Ordinal) && message.EndsWith(" ms)", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("FIRST_COUNT=0xFFFFFFFF", "18446744073709551615|4294967295")]
    [InlineData("SECOND_COUNT=100000", "100000")]
    [InlineData("FIRST_COUNT=~0UL", "18446744073709551615")]
    public void A_number_of_slots_that_cannot_be_is_an_error(string lie, string number)
    {
        var module = TestModule.Build(directory, lie);
        var error = engine.Run($"Get-Pkcs11Token -Module '{module}'").Error;
        Assert.StartsWith("ModuleFailed,", error.FullyQualifiedErrorId, StringComparison.Ordinal);
        Assert.Matches($"there are ({number}) slots, and at most 1024 are read", error.ToString());
    }

    [Theory]
    [InlineData("")]
    [InlineData("-Isolated")]
    public void A_second_number_of_slots_that_is_larger_than_the_first_is_taken(string isolated)
    {
        var module = TestModule.Build(directory, "SLOTS=3", "FIRST_COUNT=1");
        Assert.Equal(["token 0", "token 1", "token 2"], engine.Run($"(Get-Pkcs11Token -Module '{module}' {isolated}).Label").Check().Select(label => label.ToString()));
    }

    [Theory]
    [InlineData("")]
    [InlineData("-Isolated")]
    public void Five_hundred_slots_are_listed_in_order(string isolated)
    {
        var module = TestModule.Build(directory, "SLOTS=500");
        var labels = engine.Run($"(Get-Pkcs11Token -Module '{module}' {isolated}).Label").Check().Select(label => label.ToString());
        Assert.Equal(Enumerable.Range(0, 500).Select(i => $"token {i}"), labels);
    }

    [Fact]
    public void Slots_that_fail_alike_are_one_error()
    {
        var module = TestModule.Build(directory, "SLOTS=5", "TOKEN_INFO=if(id!=102)return 0x30");
        var result = engine.Run($"Get-Pkcs11Token -Module '{module}'");
        Assert.Single(result.Output);
        Assert.Contains("C_GetTokenInfo failed with CKR_DEVICE_ERROR for 4 slots", result.Error.ToString(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("PADDING=0", "LABEL=\"nul\"", "nul", "token=nul%00")]
    [InlineData("PADDING=32", "LABEL=\"\\xFF\\xFE latin\"", "\uFFFD\uFFFD latin", "token=%FF%FE%20latin")]
    [InlineData("PADDING=0", "LABEL=\"\\xC3\"", "\uFFFD", "token=%C3%00")]
    public void Labels_with_NULs_or_not_in_UTF_8_are_shown_and_their_URIs_are_p11tools(string padding, string label, string shown, string uri)
    {
        Assert.SkipUnless(File.Exists("/usr/bin/p11tool"), "gnutls-bin is not installed: our URIs are NOT compared with p11tool's.");
        var module = TestModule.Build(directory, padding, label);
        foreach (var isolated in new[] { "", "-Isolated" })
        {
            var token = (Pkcs11Token)Assert.Single(engine.Run($"Get-Pkcs11Token -Module '{module}' {isolated}").Check()).BaseObject;
            Assert.Equal(shown, token.Label);
            Assert.Contains(uri, token.Uri.ToString(), StringComparison.Ordinal);
            Assert.Equal(P11Tool(module), token.Uri.ToString());
            Assert.Equal(token.Uri.ToString(), ((Pkcs11Token)Assert.Single(engine.Run($"Get-Pkcs11Token -Module '{module}' -Uri '{token.Uri}'").Check()).BaseObject).Uri.ToString());
        }
    }

    [Fact]
    public void A_module_that_somebody_else_has_initialised_is_read_and_stays_so()
    {
        const string AlreadyInitialized = "INITIALIZE=return 0x191";
        var marker = Path.Combine(directory.FullName, "finalized");
        var module = TestModule.Build(directory, AlreadyInitialized, $"FINALIZED=\"{marker}\"");
        Assert.Single(engine.Run($"Get-Pkcs11Token -Module '{module}'").Check());
        Assert.False(File.Exists(marker));

        module = TestModule.Build(directory, $"FINALIZED=\"{marker}\"");
        Assert.Single(engine.Run($"Get-Pkcs11Token -Module '{module}'").Check());
        Assert.True(File.Exists(marker));
    }

    [Theory]
    [InlineData("20261123174501", "2026-11-23T17:45:01.0000000+00:00")]
    [InlineData("2026112317450100", "2026-11-23T17:45:01.0000000+00:00")]
    [InlineData("20261323174501", "")]
    [InlineData("garbage", "")]
    public void Every_field_is_there_and_what_a_module_leaves_out_is_null(string utcTime, string expected)
    {
        const int ClockOnToken = 0x40;
        var module = TestModule.Build(directory, $"UTC_TIME=\"{utcTime}\"", $"TOKEN_FLAGS=0x400+{ClockOnToken}", "SLOT_FLAGS=7");
        foreach (var isolated in new[] { "", "-Isolated" })
        {
            var token = (Pkcs11Token)Assert.Single(engine.Run($"Get-Pkcs11Token -Module '{module}' {isolated}").Check()).BaseObject;
            Assert.Equal(expected, token.UtcTime is { } time ? $"{time:O}" : "");
            Assert.Equal("Hardware token", token.Type);
            Assert.Equal((0ul, null, 7ul, 0ul), (token.MaxSessionCount, token.SessionCount, token.MaxReadWriteSessionCount, token.ReadWriteSessionCount));
            Assert.Equal((12ul, 4ul), (token.MaxPinLength, token.MinPinLength));
            Assert.All([token.TotalPublicMemory, token.FreePublicMemory, token.TotalPrivateMemory, token.FreePrivateMemory], Assert.Null);
            Assert.Equal(("1.2", "5.6", "3.0", "0.4"), ($"{token.HardwareVersion}", $"{token.FirmwareVersion}", $"{token.SlotHardwareVersion}", $"{token.SlotFirmwareVersion}"));
            Assert.Equal(("A slot", "Slot maker"), (token.SlotDescription, token.SlotManufacturer));
            Assert.Equal(Pkcs11SlotFlags.TokenPresent | Pkcs11SlotFlags.RemovableDevice | Pkcs11SlotFlags.HardwareSlot, token.SlotFlags);
            Assert.Equal(Pkcs11TokenFlags.TokenInitialized | Pkcs11TokenFlags.ClockOnToken, token.Flags);
        }
    }

    static string P11Tool(string module)
    {
        using var p11tool = Process.Start(new ProcessStartInfo("p11tool", ["--provider", module, "--list-token-urls"]) { UseShellExecute = false, RedirectStandardOutput = true })!;
        var output = p11tool.StandardOutput.ReadToEnd();
        p11tool.WaitForExit();
        return output.Trim();
    }
}
