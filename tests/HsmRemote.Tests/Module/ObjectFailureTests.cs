using System.Diagnostics;
using System.Management.Automation;
using HsmRemote.Tests.Sockets;

namespace HsmRemote.Tests.Module;

/// <summary>Get-Pkcs11Object where things go wrong that no software token can be brought to.</summary>
public sealed class ObjectFailureTests(Engine engine) : IDisposable
{
    const ulong PinIncorrect = 0xA0;
    const ulong PinLocked = 0xA4;
    const ulong FinalTry = 0x20000;
    const ulong Locked = 0x40000;
    const ulong Keypad = 0x100;
    const uint OpenSession = 10;

    readonly SocketDirectory directory = new();

    public void Dispose() => directory.Dispose();

    [Theory]
    [InlineData("-Uri 'pkcs11:token=a b'", "UriMalformed")]
    [InlineData("-Uri 'pkcs11:token=a?pin-value=77441'", "UriHasPin")]
    [InlineData("-Uri 'pkcs11:type=key'", "UriMalformed")]
    [InlineData("-Id 1", "IdMalformed")]
    [InlineData("-Id xy", "IdMalformed")]
    [InlineData("-PinPath /no/such/file", "PinFileUnreadable")]
    [InlineData("-Pin ([securestring]::new())", "PinEmpty")]
    [InlineData("-Pin ([securestring]::new()) -PinPath /x", "PinAmbiguous")]
    [InlineData("-Module no-such-module", "ModuleNotFound")]
    [InlineData("-SocketPath /no/such/socket", "SocketUnreadable")]
    [InlineData("-Type Key", "CannotConvertArgumentNoMessage")]
    public void Wrong_use_is_an_error_with_a_stable_id(string arguments, string errorId)
    {
        var error = engine.Run($"Get-Pkcs11Object {arguments}").Errors[0];
        Assert.StartsWith($"{errorId},", error.FullyQualifiedErrorId, StringComparison.Ordinal);
        Assert.DoesNotContain("77441", $"{error} {error.Exception} {error.TargetObject}", StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0, PinIncorrect, "", "PinIncorrect", 1)]
    [InlineData(0, PinLocked, "", "PinLocked", 1)]
    [InlineData(Locked, 0, "-Force", "PinLocked", 0)]
    [InlineData(FinalTry, 0, "", "PinFinalTry", 0)]
    [InlineData(FinalTry, PinIncorrect, "-Force", "PinIncorrect", 1)]
    [InlineData(Keypad, 0, "-Force", "PinOnReader", 0)]
    public void A_PIN_is_not_risked(ulong flags, ulong result, string force, string errorId, int logins)
    {
        using var signer = new FakeSigner(FakeSigner.InitialisedWithPin | flags) { LoginResult = result };
        directory.Listen(signer.ServeAsync);
        var error = engine.Run($"Get-Pkcs11Object -SocketPath '{directory.SocketPath}' -Type PrivateKey -PinPath '{PinFile()}' {force}").Error;
        Assert.StartsWith($"{errorId},", error.FullyQualifiedErrorId, StringComparison.Ordinal);
        Assert.Equal(logins, signer.Logins);
        Assert.DoesNotContain("77441", $"{error} {error.Exception}", StringComparison.Ordinal);
        Assert.NotEmpty(error.ErrorDetails.RecommendedAction);
    }

    [Fact]
    public void With_Force_the_last_attempt_is_made()
    {
        using var signer = new FakeSigner(FakeSigner.InitialisedWithPin | FinalTry);
        directory.Listen(signer.ServeAsync);
        var found = (Pkcs11Object)Assert.Single(engine.Run($"Get-Pkcs11Object -SocketPath '{directory.SocketPath}' -PinPath '{PinFile()}' -Uri 'pkcs11:type=private' -Force").Check()).BaseObject;
        Assert.Equal(("key", "01", "EC", "secp256r1", 256), (found.Label, found.Id, found.Type, found.Curve, found.KeySize));
        Assert.Equal(1, signer.Logins);
        Assert.Equal("77441"u8.ToArray(), signer.Pin);
    }

    [Fact]
    public void A_server_that_stalls_is_left_at_the_timeout()
    {
        using var signer = new FakeSigner { StallsAt = OpenSession };
        directory.Listen(signer.ServeAsync);
        var error = engine.Run($"Get-Pkcs11Object -SocketPath '{directory.SocketPath}' -Type PrivateKey -TimeoutSeconds 5").Error;
        Assert.StartsWith("ObjectsTimedOut,", error.FullyQualifiedErrorId, StringComparison.Ordinal);
        Assert.Equal(ErrorCategory.OperationTimeout, error.CategoryInfo.Category);
    }

    [Fact]
    public void Ctrl_C_ends_it()
    {
        using var signer = new FakeSigner { StallsAt = OpenSession };
        directory.Listen(signer.ServeAsync);
        // It is done within a second; a busy machine gets more.
        Assert.InRange(
            engine.RunAndStop($"Get-Pkcs11Object -SocketPath '{directory.SocketPath}' -Type PrivateKey -TimeoutSeconds 3600", signer.Stalled.Task), TimeSpan.Zero, TimeSpan.FromSeconds(20));
    }

    [Fact]
    public void A_module_that_hangs_is_left_at_the_timeout()
    {
        var module = Build("hangs", "sleep(20); return 0;", "");
        var error = engine.Run($"Get-Pkcs11Token -Module '{module}' | Get-Pkcs11Object -TimeoutSeconds 1").Error;
        Assert.StartsWith("ObjectsTimedOut,", error.FullyQualifiedErrorId, StringComparison.Ordinal);
        Assert.Contains(module, error.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void In_a_process_of_its_own_a_module_that_crashes_is_named()
    {
        var module = Build("crashes", "__builtin_trap();", "");
        var error = engine.Run($"Get-Pkcs11Token -Module '{module}' -Isolated | Get-Pkcs11Object -Isolated").Error;
        Assert.StartsWith("ObjectsUnreadable,", error.FullyQualifiedErrorId, StringComparison.Ordinal);
        Assert.Contains(module, error.ToString(), StringComparison.Ordinal);
        Assert.Contains("in C_OpenSession", error.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void A_module_that_lies_about_counts_and_lengths_is_not_believed()
    {
        // More objects than there was room for, for ever; values of a tebibyte, said to have been given.
        var module = Build("lies", "*(unsigned long *)e = 1; return 0;", """
            list.functions[27] = lie; list.functions[24] = huge;
            """);
        var found = (Pkcs11Object)Assert.Single(engine.Run($"Get-Pkcs11Token -Module '{module}' | Get-Pkcs11Object -WarningAction SilentlyContinue").Check()).BaseObject;
        Assert.Equal(("", "", (string?)null, (int?)null), (found.Label, found.Id, found.Type, found.KeySize));
    }

    [Fact]
    public void A_module_whose_function_fails_is_named_with_its_return_value()
    {
        var module = Build("fails", "return 0x30;", "");
        var error = engine.Run($"Get-Pkcs11Token -Module '{module}' | Get-Pkcs11Object").Error;
        Assert.StartsWith("ObjectsUnreadable,", error.FullyQualifiedErrorId, StringComparison.Ordinal);
        Assert.Contains("C_OpenSession failed with CKR_DEVICE_ERROR", error.ToString(), StringComparison.Ordinal);
    }

    string PinFile()
    {
        var path = Path.Combine(directory.FullName, "pin");
        File.WriteAllText(path, "77441");
        File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        return path;
    }

    /// <summary>A module with one token, which does nothing else, and that badly.</summary>
    string Build(string name, string openSession, string more)
    {
        Assert.SkipUnless(File.Exists("/usr/bin/cc"), "No C compiler is installed: a module that misbehaves is NOT tested.");
        var source = Path.Combine(directory.FullName, $"{name}.c");
        // CK_FUNCTION_LIST begins with its version; the functions have their places in it.
        File.WriteAllText(source, $$"""
            #include <string.h>
            #include <unistd.h>
            typedef unsigned long U;
            static U fine() { return 0; }
            static U slots(char present, U *list, U *count) { if (list) *list = 7; *count = 1; return 0; }
            static U slot(U id, char *info) { memset(info, ' ', 96); memset(info + 96, 0, 16); return 0; }
            static U token(U id, char *info) { memset(info, 0, 208); memset(info, ' ', 96); memcpy(info, "{{name}}", {{name.Length}}); *(U *)(info + 96) = 0x40D; return 0; }
            static U open(U slot, U flags, void *a, void *b, void *e) { {{openSession}} }
            static U lie(U session, U *found, U room, U *count) { *count = room * 16; return 0; }
            static U huge(U session, U object, U *attributes, U count) { for (U i = 0; i < count; i++) attributes[3 * i + 2] = 1UL << 40; return 0; }
            static struct { unsigned char version[2]; void *functions[68]; } list = { { 2, 40 } };
            U C_GetFunctionList(void **to)
            {
                for (int i = 0; i < 68; i++) list.functions[i] = fine;
                list.functions[4] = slots; list.functions[5] = slot; list.functions[6] = token; list.functions[12] = open;
                {{more}}
                *to = &list;
                return 0;
            }
            """);
        var module = Path.Combine(directory.FullName, $"{name}.so");
        using var compiler = Process.Start("cc", ["-shared", "-fPIC", "-w", "-o", module, source]);
        compiler.WaitForExit();
        Assert.Equal(0, compiler.ExitCode);
        return module;
    }
}
