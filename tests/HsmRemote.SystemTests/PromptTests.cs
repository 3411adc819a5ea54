using System.Text.RegularExpressions;

namespace HsmRemote.SystemTests;

/// <summary>What a person meets at a prompt: questions, steps, and TAB.</summary>
public sealed partial class PromptTests(SandboxFixture sandbox)
{
    /// <summary>A command of each cmdlet that has something to do; $name is an instance that is there, $uri a token.</summary>
    static readonly Dictionary<string, string> Commands = new(StringComparer.Ordinal)
    {
        ["Disconnect-P11KitConnection"] = """
            $socket = [Net.Sockets.Socket]::new('Unix', 'Stream', 'Unspecified'); $socket.Connect([Net.Sockets.UnixDomainSocketEndPoint]::new("/run/$name/pkcs11"))
            while (-not ($open = Get-P11KitConnection $name -Verbose:$false)) { [Threading.Thread]::Sleep(50) }
            $open | Disconnect-P11KitConnection -Verbose
            """,
        ["Export-Pkcs11Certificate"] = "Export-Pkcs11Certificate $uri -ErrorAction SilentlyContinue",
        ["Get-P11ContainerConfig"] = "Get-P11ContainerConfig no-such-container -ErrorAction SilentlyContinue",
        ["Get-P11KitConnection"] = "Get-P11KitConnection $name",
        ["Get-P11KitServer"] = "Get-P11KitServer $name",
        ["Get-P11SocketForward"] = "Get-P11SocketForward",
        ["Get-P11TargetUri"] = "Get-P11TargetUri $name",
        ["Get-Pkcs11Module"] = "Get-Pkcs11Module softhsm2",
        ["Get-Pkcs11Object"] = "Get-Pkcs11Object -Uri $uri",
        ["Get-Pkcs11Token"] = "Get-Pkcs11Token -Module softhsm2",
        ["Install-P11KitServer"] = "Install-P11KitServer $name -MaxConnections 7",
        ["New-P11ContainerConfig"] = "New-P11ContainerConfig $name Docker -Uid 0",
        ["New-P11SocketForward"] = "New-P11SocketForward $name 127.0.0.1 -WhatIf -ErrorAction SilentlyContinue",
        ["Register-Pkcs11Module"] = "Register-Pkcs11Module prompt-module libsofthsm2.so -WhatIf",
        ["Remove-P11SocketForward"] = "Remove-P11SocketForward no-such-forward -WhatIf",
        ["Restart-P11KitServer"] = "Restart-P11KitServer $name",
        ["Set-P11TargetUri"] = "Set-P11TargetUri $name $uri",
        ["Start-P11KitServer"] = "Start-P11KitServer $name",
        ["Stop-P11KitServer"] = "Stop-P11KitServer $name",
        ["Test-P11Socket"] = "Test-P11Socket $name",
        ["Test-P11SocketForward"] = "Test-P11SocketForward *",
        ["Test-Pkcs11Uri"] = "Test-Pkcs11Uri $uri",
        ["Uninstall-P11KitServer"] = "Uninstall-P11KitServer $name -WhatIf",
        ["Unregister-Pkcs11Module"] = "Unregister-Pkcs11Module prompt-module",
    };

    [Fact]
    public void Verbose_tells_each_step_and_its_duration()
    {
        var token = sandbox.CreateToken("prompt-verbose");
        var exported = sandbox.HsmRemote("(Get-Module HsmRemote).ExportedCmdlets.Keys").Succeeded().Select(name => name.GetString()!).ToList();
        Assert.Empty(exported.Except(Commands.Keys, StringComparer.Ordinal).Select(name => $"this test has no command of {name} yet"));

        var script = string.Join('\n', Commands.Select(command => $$"""
            $verbose = & { {{(command.Value.Contains("-Verbose", StringComparison.Ordinal) ? command.Value : command.Value + " -Verbose")}} } 4>&1 3>$null
            foreach ($record in $verbose.Where({ $_ -is [Management.Automation.VerboseRecord] })) { "{{command.Key}}|$($record.Message)" }
            """));
        var output = sandbox.HsmRemote($"$name = 'prompt-verbose'; $uri = '{token.Uri}'; [void] (Install-P11KitServer $name -TargetUri $uri)\n{script}").Succeeded();
        var steps = output.Select(line => line.GetString()!.Split('|', 2)).Where(line => Duration().IsMatch(line[1])).Select(line => line[0]).ToHashSet(StringComparer.Ordinal);
        Assert.Equal(exported.Order(StringComparer.Ordinal), steps.Order(StringComparer.Ordinal));
    }

    [Fact]
    public void A_pipeline_is_asked_about_once_and_only_a_yes_changes_anything()
    {
        sandbox.HsmRemote("Install-P11KitServer prompt-one -Group prompt-shared; Install-P11KitServer prompt-two -Group prompt-shared").Succeeded();
        const string Command = "Get-P11KitServer prompt-one, prompt-two | Uninstall-P11KitServer -Confirm";

        var refused = AtTerminal(Command, "n");
        Assert.Equal(1, Count(refused, "Go on?"));
        foreach (var said in new[] { "Uninstall the p11-kit server 'prompt-one':", "Uninstall the p11-kit server 'prompt-two':", "Stop prompt-one.socket", "Remove the file /etc/systemd/system/prompt-two.socket" })
            Assert.Contains(said, refused, StringComparison.Ordinal);
        Assert.DoesNotContain("True", refused, StringComparison.Ordinal);
        Assert.Equal(2, sandbox.HsmRemote("Get-P11KitServer prompt-one, prompt-two").Succeeded().Length);

        // One that is named in two ways is asked about too, and not waited for.
        Assert.Contains("Go on?", AtTerminal("Stop-P11KitServer prompt-one, prompt-o* -Confirm", "n"), StringComparison.Ordinal);

        var agreed = AtTerminal(Command, "y");
        Assert.Equal(1, Count(agreed, "Go on?"));
        Assert.Equal(2, Count(agreed, "True"));
        Assert.Empty(sandbox.HsmRemote("Get-P11KitServer prompt-one*; Get-P11KitServer prompt-two*").Succeeded());
        // The group of both goes with the last of them.
        Assert.NotEqual(0, sandbox.Run("getent", "group", "prompt-shared").ExitCode);
    }

    [Theory]
    [InlineData("Install-P11KitServer prompt-unasked -Confirm")]
    [InlineData("$ConfirmPreference = 'Low'; Install-P11KitServer prompt-unasked")]
    public void Nobody_is_asked_where_nobody_answers_and_nothing_is_changed(string command)
    {
        var result = sandbox.HsmRemote(command);
        Assert.NotEqual(0, result.ExitCode);
        Assert.Contains("-Confirm:$false", result.StdErr, StringComparison.Ordinal);
        Assert.Empty(sandbox.HsmRemote("Get-P11KitServer prompt-unasked*").Succeeded());
    }

    [Fact]
    public void TAB_does_not_wait_for_a_slow_module_and_has_its_tokens_later()
    {
        var modules = new PrivateModules(sandbox, "prompt-slow");
        modules.Write("modules/slow.module", $"module: {modules.Build("slow", "INITIALIZE=sleep(3);return 0", "LABEL=\"slow token\"")}");
        var output = modules.Objects("""
            function Complete { $line = 'Get-Pkcs11Token -Label slow'; [Management.Automation.CommandCompletion]::CompleteInput($line, $line.Length, $null).CompletionMatches.ForEach({ $_.CompletionText }) }
            "first: $(Complete)"
            $until = [datetime]::Now.AddMinutes(1)
            while (-not ($later = Complete) -and [datetime]::Now -lt $until) { [Threading.Thread]::Sleep(100) }
            "later: $later"
            """).Succeeded();
        Assert.Equal(["first: ", "later: 'slow token'"], output.Select(line => line.GetString()));
    }

    /// <summary>Runs a command at a terminal of 100 columns, where a person types an answer.</summary>
    string AtTerminal(string command, string answer)
    {
        var result = sandbox.Run(
            SandboxFixture.DefaultDeadline, $"{answer}\r", "script", "--quiet", "--return", "--command",
            $"stty cols 100; {SandboxFixture.ShellPath} -NoProfile -Command '{command}'", "/dev/null");
        Assert.Equal(0, result.ExitCode);
        return result.StdOut;
    }

    static int Count(string text, string what) => text.Split(what).Length - 1;

    [GeneratedRegex(@"\([0-9.]+ ms\)$", RegexOptions.CultureInvariant, 1000)]
    private static partial Regex Duration();
}
