using System.Diagnostics;
using System.Reflection;
using System.Text;
using System.Text.Json;
using HsmRemote.SystemTests;

[assembly: AssemblyFixture(typeof(SandboxFixture))]

namespace HsmRemote.SystemTests;

/// <summary>A throwaway Linux system with a real systemd, shared by all tests of this assembly.</summary>
/// <remarks>
/// <para>A test class takes it as a constructor parameter:</para>
/// <code>
/// public sealed class InstallTests(SandboxFixture sandbox)
/// {
///     [Fact]
///     public void A_second_install_changes_nothing()
///     {
///         sandbox.HsmRemote("Install-P11KitServer -Name twice -Group hsm").Succeeded();
///         var again = sandbox.HsmRemote("Install-P11KitServer -Name twice -Group hsm").SucceededWithOne();
///         Assert.False(again.GetProperty("Changed").GetBoolean());
///     }
/// }
/// </code>
/// <para>Everything runs as root. Test classes run in parallel in the one system, so each uses instance, group, token
/// and file names that no other test uses; nothing has to be cleaned up. Inside, the repository has the same path, but
/// cannot be written to. Where no sandbox can run, the first use skips the test and says why.</para>
/// </remarks>
public class SandboxFixture : IAsyncLifetime
{
    /// <summary>How long a command may take, unless the test says otherwise: no test is about that, and a busy machine is slow.</summary>
    public static readonly TimeSpan DefaultDeadline = TimeSpan.FromMinutes(5);

    // What tests/sandbox.sh exits with where it cannot run.
    private const int CannotRun = 77;

    private readonly Lock _tokenCreation = new();
    private Process? _holder;
    private string? _id;
    private string? _whyNot;
    private string? _failure;

    /// <summary>The root of the repository, inside and outside of the sandbox.</summary>
    public static string RepositoryRoot { get; } = typeof(SandboxFixture).Assembly
        .GetCustomAttributes<AssemblyMetadataAttribute>().Single(a => a.Key is "RepositoryRoot").Value!;

    /// <summary>The script that makes sandboxes.</summary>
    public static string Script { get; } = Path.Combine(RepositoryRoot, "tests", "sandbox.sh");

    /// <summary>The shell that <see cref="HsmRemote"/> runs.</summary>
    public static string ShellPath { get; } = Path.Combine(RepositoryRoot, "output", "shell", "hsmremote");

    /// <summary>What to boot: a directory with a system in it, or null for this machine's own.</summary>
    /// <exception cref="InvalidOperationException">There is none here, which skips each test that needs it.</exception>
    protected virtual string? Root => null;

    public async ValueTask InitializeAsync()
    {
        string[] root;
        try
        {
            root = Root is { } directory ? ["--root", directory] : [];
        }
        catch (InvalidOperationException e)
        {
            _whyNot = e.Message;
            return;
        }

        // It lives until its standard input ends, and that ends with this process, however this process ends.
        var start = new ProcessStartInfo(Script, [.. root, "--hold"])
        {
            UseShellExecute = false,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        _holder = Process.Start(start)!;
        var errors = _holder.StandardError.ReadToEndAsync();
        _id = await _holder.StandardOutput.ReadLineAsync();
        if (_id is not null)
            return;

        await _holder.WaitForExitAsync();
        var reason = (await errors).Trim();
        // Not thrown here: each test that needs the sandbox says so by itself.
        if (_holder.ExitCode == CannotRun)
            _whyNot = reason;
        else
            _failure = $"tests/sandbox.sh failed with status {_holder.ExitCode}: {reason}";
    }

    public async ValueTask DisposeAsync()
    {
        if (_holder is null)
            return;
        _holder.StandardInput.Close();
        await _holder.WaitForExitAsync();
        _holder.Dispose();
        GC.SuppressFinalize(this);
    }

    /// <summary>Runs a program in the sandbox, with nothing on its standard input.</summary>
    public CommandResult Run(string file, params string[] arguments) => Run(DefaultDeadline, "", file, arguments);

    /// <summary>Runs a program in the sandbox.</summary>
    /// <exception cref="TimeoutException">The deadline has passed; the program is no longer running.</exception>
    public CommandResult Run(TimeSpan deadline, string standardInput, string file, params string[] arguments)
    {
        if (_whyNot is not null)
            Assert.Skip(_whyNot);
        if (_failure is not null)
            Assert.Fail(_failure);
        return CommandResult.Of(deadline, standardInput, Script, ["--enter", _id!, file, .. arguments]);
    }

    /// <summary>Where a file of the sandbox is for this process.</summary>
    public string Outside(string path)
    {
        Run("true").Succeeded();
        return $"/proc/{Leader}/root{path}";
    }

    /// <summary>Reboots the system, and waits until it runs again, without the network that it had. For a class that has a sandbox of its own.</summary>
    /// <remarks>What was in memory is gone, /run and /tmp with it. It boots to basic.target, as before.</remarks>
    public void Reboot()
    {
        Run("sync").Succeeded();
        var before = Leader;
        Run("systemctl", "reboot");
        var since = Stopwatch.GetTimestamp();
        for (var leader = before; leader.Length == 0 || string.Equals(leader, before, StringComparison.Ordinal) || Run("systemctl", "is-active", "basic.target").ExitCode != 0; leader = Leader)
        {
            if (Stopwatch.GetElapsedTime(since) > DefaultDeadline)
                Assert.Fail("The sandbox has not come back from its reboot.");
            Thread.Sleep(TimeSpan.FromMilliseconds(100));
        }
    }

    // Its init, as this machine numbers it; empty while there is none.
    private string Leader => CommandResult.Of(DefaultDeadline, "", Script, ["--leader", _id!]).StdOut.Trim();

    /// <summary>Runs a bash script in the sandbox; it stops at the first command that fails.</summary>
    public CommandResult Shell(string script) => Run("bash", "-euo", "pipefail", "-c", script);

    /// <summary>Runs a bash script that only reads directories, again where something went while it was read: the other tests change them meanwhile, and find(1) then ends in the middle.</summary>
    public string Look(string script)
    {
        for (var attempt = 1; ; attempt++)
        {
            var result = Shell(script);
            if (result.ExitCode == 0 || attempt == 20 || !result.StdErr.Contains("No such file or directory", StringComparison.Ordinal))
                return result.Succeeded();
        }
    }

    /// <summary>Waits until a condition of bash's holds, for as long as a busy machine may take.</summary>
    public void WaitFor(string condition) =>
        Run("bash", "-c", $"for i in {{1..1200}}; do {{ {condition}; }} >/dev/null 2>&1 && exit; sleep 0.1; done; exit 1").Succeeded();

    /// <summary>Opens a connection to an instance's socket that says nothing and stays until the server ends it, and waits until it is served.</summary>
    public void Connect(string name)
    {
        Run("systemd-run", "--quiet", "--collect", "socat", $"UNIX-CONNECT:/run/{name}/pkcs11", "PIPE").Succeeded();
        WaitFor($"systemctl -q is-active '{name}@*'");
    }

    /// <summary>Leaves the file of a socket that nobody listens on.</summary>
    public void LeaveSocket(string path) =>
        Shell($"mkdir -p $(dirname {path}); rm -f {path}; socat -u UNIX-LISTEN:{path},unlink-close=0 /dev/null & until test -S {path}; do sleep 0.1; done; kill $!; wait || true").Succeeded();

    /// <summary>What a command begins with, since a ladder that is cut short by a busy machine says something else.</summary>
    internal const string Patience = "$PSDefaultParameterValues = @{ 'Test-P11Socket*:TimeoutSeconds' = 60 }; ";

    /// <summary>Runs PowerShell with the module in the sandbox, and gives the objects that it wrote.</summary>
    public HsmRemoteResult HsmRemote(string command)
    {
        if (_whyNot is null && !File.Exists(ShellPath))
            throw new InvalidOperationException($"{ShellPath} is not there; './build.sh Build' makes it.");
        return new HsmRemoteResult(
            Run(ShellPath, "-NoProfile", "-NonInteractive", "-OutputFormat", "Json", "-Command", $"{Patience}{command}"));
    }

    /// <summary>Who is connected to an instance, when as many are as there are to be. It fails after a while.</summary>
    public JsonElement[] Connections(string name, int count) =>
        HsmRemote($"foreach ($i in 1..100) {{ $c = @(Get-P11KitConnection {name}); if ($c.Count -eq {count}) {{ break }}; [System.Threading.Thread]::Sleep(100) }}; $c").Succeeded() is var found
        && found.Length == count ? found : throw new InvalidOperationException($"{found.Length} connections instead of {count} to {name}.");

    /// <summary>Writes a file in the sandbox, with the directories above it.</summary>
    /// <param name="path">Its absolute path.</param>
    /// <param name="content">All of its content.</param>
    /// <param name="mode">Its mode, as chmod takes it.</param>
    public void WriteFile(string path, string content, string mode = "0644") =>
        Run(DefaultDeadline, content, "install", "-D", "-m", mode, "/dev/stdin", path).Succeeded();

    /// <summary>Makes a SoftHSM token with one EC P-256 key pair in the sandbox.</summary>
    /// <param name="label">The token's label; no other test may use it.</param>
    /// <param name="pin">The user PIN.</param>
    /// <param name="keyLabel">The label of both keys; their id is 01.</param>
    public SoftHsmToken CreateToken(string label, string pin = "123456", string keyLabel = "key")
    {
        var slot = CreateTwin(label, pin);
        // Not by its label, of which pkcs11-tool compares no more than is given.
        Run(
            "pkcs11-tool", "--module", SoftHsmToken.Module, "--slot", slot, "--login", "--pin", pin,
            "--keypairgen", "--key-type", "EC:prime256v1", "--label", keyLabel, "--id", "01").Succeeded();
        return new SoftHsmToken(label, pin, keyLabel);
    }

    /// <summary>Makes a SoftHSM token with nothing in it, whose label may be that of another.</summary>
    /// <returns>Its slot's number, which other tokens change only when SoftHSM is set up anew.</returns>
    public string CreateTwin(string label, string pin = "123456")
    {
        // Two at once could take the same free slot.
        lock (_tokenCreation)
        {
            // Made elsewhere and brought whole: another test that reads the store meanwhile would take half a token for a broken one.
            // "The token has been initialized and is reassigned to slot 1234"
            return Run("bash", "-euo", "pipefail", "-c", """
                made=/var/lib/softhsm/made
                mkdir -p $made
                echo "directories.tokendir = $made" >$made.conf
                said=$(SOFTHSM2_CONF=$made.conf softhsm2-util --init-token --free --label "$1" --pin "$2" --so-pin 87654321)
                mv $made/* /var/lib/softhsm/tokens/
                echo "${said##* }"
                """, "bash", label, pin).Succeeded();
        }
    }
}

/// <summary>A token that <see cref="SandboxFixture.CreateToken"/> made.</summary>
public sealed record SoftHsmToken(string Label, string Pin, string KeyLabel)
{
    /// <summary>SoftHSM's module, a name that p11-kit, pkcs11-tool and p11tool all find.</summary>
    public const string Module = "/usr/lib/softhsm/libsofthsm2.so";

    /// <summary>A URI that only this token matches.</summary>
    public string Uri => $"pkcs11:model=SoftHSM%20v2;token={System.Uri.EscapeDataString(Label)}";
}

/// <summary>What a program did.</summary>
public sealed record CommandResult(string Command, int ExitCode, string StdOut, string StdErr)
{
    /// <summary>Fails the test unless the program succeeded; gives its output without the white space around it.</summary>
    public string Succeeded()
    {
        if (ExitCode != 0)
            Assert.Fail(ToString());
        return StdOut.Trim();
    }

    public override string ToString() => $"{Command}\nexit status {ExitCode}\n--- output\n{StdOut}\n--- errors\n{StdErr}";

    /// <summary>Runs a program on this machine, outside of the sandbox.</summary>
    internal static CommandResult Of(TimeSpan deadline, string standardInput, string file, IEnumerable<string> arguments)
    {
        var start = new ProcessStartInfo(file, arguments)
        {
            UseShellExecute = false,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            StandardInputEncoding = new UTF8Encoding(encoderShouldEmitUTF8Identifier: false),
        };
        var command = string.Join(' ', start.ArgumentList.Prepend(file));
        using var process = Process.Start(start)!;
        var output = process.StandardOutput.ReadToEndAsync();
        var errors = process.StandardError.ReadToEndAsync();
        try
        {
            process.StandardInput.Write(standardInput);
            process.StandardInput.Close();
        }
        catch (IOException)
        {
            // It ended without reading all of it, as it may.
        }

        // A daemon that it left behind may hold its output open, so the deadline is for the output too.
        var ended = process.WaitForExit(deadline) && Task.WaitAll([output, errors], TimeSpan.FromSeconds(10));
        if (!ended)
        {
            process.Kill(entireProcessTree: true);
            Task.WaitAny([Task.WhenAll(output, errors)], TimeSpan.FromSeconds(1));
            throw new TimeoutException(
                $"Not ended after {deadline.TotalSeconds} s: {command}\n--- output\n{TextOf(output)}\n--- errors\n{TextOf(errors)}");
        }

        return new CommandResult(command, process.ExitCode, output.Result, errors.Result);
    }

    private static string TextOf(Task<string> reading) =>
        reading.IsCompletedSuccessfully ? reading.Result : "(still open)";
}

/// <summary>What a PowerShell command did in the sandbox.</summary>
public sealed class HsmRemoteResult
{
    private readonly CommandResult _result;

    internal HsmRemoteResult(CommandResult result)
    {
        _result = result;
        Output = string.IsNullOrWhiteSpace(result.StdOut) ? [] : Parse(result);
    }

    public int ExitCode => _result.ExitCode;

    /// <summary>Errors, warnings and verbose messages, as text.</summary>
    public string StdErr => _result.StdErr;

    /// <summary>The same in one line: long messages are folded.</summary>
    public string UnfoldedStdErr => string.Join(' ', StdErr.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));

    /// <summary>The objects that the command wrote.</summary>
    public JsonElement[] Output { get; }

    /// <summary>Fails the test unless the command succeeded; gives the objects that it wrote.</summary>
    public JsonElement[] Succeeded()
    {
        _result.Succeeded();
        return Output;
    }

    /// <summary>Fails the test unless the command succeeded and wrote one object; gives it.</summary>
    public JsonElement SucceededWithOne()
    {
        _result.Succeeded();
        if (Output.Length != 1)
            Assert.Fail($"{Output.Length} objects instead of one: {_result}");
        return Output[0];
    }

    public override string ToString() => _result.ToString();

    private static JsonElement[] Parse(CommandResult result)
    {
        try
        {
            using var document = JsonDocument.Parse(result.StdOut);
            return [.. document.RootElement.Clone().EnumerateArray()];
        }
        catch (JsonException e)
        {
            throw new InvalidDataException($"The output is not JSON ({e.Message}): {result}", e);
        }
    }
}
