using Xunit;

namespace HsmRemote.Tests.Shell;

public sealed class ShellTerminalTests
{
    private const string RemoveIt =
        "function Remove-It { [CmdletBinding(SupportsShouldProcess, ConfirmImpact = 'High')] param([Parameter(Mandatory)] $Name) "
        + "if ($PSCmdlet.ShouldProcess($Name)) { \"removed $Name\" } };";

    [Fact]
    public async Task A_prompt_edits_completes_remembers_and_survives_errors()
    {
        using var terminal = new ShellTerminal("");
        await terminal.ExpectAsync("HsmRemote ");
        await terminal.ExpectAsync("> ");
        terminal.Type("'a' + 'b'\r");
        await terminal.ExpectAsync("\nab");
        await terminal.ExpectAsync("> ");
        terminal.Type("(Get-Comm\t");
        await terminal.ExpectAsync("(Get-Command");
        terminal.Type(" Where-Object).Name.Length\r");
        await terminal.ExpectAsync("\n12");
        await terminal.ExpectAsync("> ");
        terminal.Type("Get-Thing -Path /etc/os-rel\t");
        await terminal.ExpectAsync("/etc/os-release");
        terminal.Type("\x01\x0b");
        terminal.Type("wrong" + "\x01" + "\x0b" + "throw 'oops'\r");
        await terminal.ExpectAsync("Exception: ");
        await terminal.ExpectAsync("> ");
        terminal.Type("\e[A\e[A\e[A\r");
        await terminal.ExpectAsync("\nab");
        await terminal.ExpectAsync("> ");
        terminal.Type("function f {\r");
        await terminal.ExpectAsync(">> ");
        terminal.Type("'multi' + 'line' }\r");
        await terminal.ExpectAsync("> ");
        terminal.Type("f\r");
        await terminal.ExpectAsync("\nmultiline");
        await terminal.ExpectAsync("> ");
        terminal.Type("exit 5\r");

        Assert.Equal(5, await terminal.ExitCodeAsync());
    }

    [Fact]
    public async Task Control_C_clears_the_line_and_stops_what_runs()
    {
        using var terminal = new ShellTerminal("-NoLogo");
        await terminal.ExpectAsync("> ");
        terminal.Type("garbage" + ShellTerminal.ControlC);
        await terminal.ExpectAsync("\n");
        await terminal.ExpectAsync("> ");
        terminal.Type("'run' + 'ning'; while ($true) { }\r");
        await terminal.ExpectAsync("\nrunning");
        terminal.Type(ShellTerminal.ControlC);
        await terminal.ExpectAsync("> ");
        terminal.Type("'still ' + 'here'\r");
        await terminal.ExpectAsync("\nstill here");
        await terminal.ExpectAsync("> ");
        terminal.Type(ShellTerminal.ControlD);

        Assert.Equal(0, await terminal.ExitCodeAsync());
        Assert.DoesNotContain("not recognized", terminal.Screen, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Questions_are_asked_and_answered()
    {
        using var terminal = new ShellTerminal($"-NoLogo -c '{RemoveIt.Replace("'", "'\\''", StringComparison.Ordinal)} Remove-It'");
        await terminal.ExpectAsync("Name: ");
        terminal.Type("edge\r");
        await terminal.ExpectAsync("Are you sure");
        await terminal.ExpectAsync("(default is \"Y\"): ");
        terminal.Type("?\r");
        await terminal.ExpectAsync("Y - Continue");
        await terminal.ExpectAsync("(default is \"Y\"): ");
        terminal.Type("y\r");
        await terminal.ExpectAsync("removed edge");

        Assert.Equal(0, await terminal.ExitCodeAsync());
    }

    [Fact]
    public async Task A_secret_is_not_echoed()
    {
        using var terminal = new ShellTerminal(
            "-c '$c = $host.UI.PromptForCredential($null, $null, \"user\", $null); [System.Net.NetworkCredential]::new(\"\", $c.Password).Password.Length'");
        await terminal.ExpectAsync("Password for user: ");
        terminal.Type("QWXZK!\x7f\r");
        await terminal.ExpectAsync("\n5");

        Assert.Equal(0, await terminal.ExitCodeAsync());
        Assert.DoesNotContain(terminal.Screen, "QWXZK!".Contains);
    }

    [Fact]
    public async Task Control_C_at_a_question_cancels_the_script()
    {
        using var terminal = new ShellTerminal("-c '$host.UI.ReadLineAsSecureString(); 77 * 3'");
        await terminal.ExpectAsync("\e=");
        terminal.Type(ShellTerminal.ControlC);

        Assert.Equal(130, await terminal.ExitCodeAsync());
        Assert.DoesNotContain("231", terminal.Screen, StringComparison.Ordinal);
    }

    [Fact]
    public async Task NonInteractive_does_not_ask_at_a_terminal_either()
    {
        using var terminal = new ShellTerminal("-NonInteractive -c '$host.UI.ReadLine()'");

        Assert.Equal(1, await terminal.ExitCodeAsync());
        Assert.Contains("-NonInteractive was given", terminal.Screen.ReplaceLineEndings(" "), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_terminal_gets_colour_and_NO_COLOR_takes_it_away()
    {
        using var coloured = new ShellTerminal("-c '[pscustomobject]@{ A = 1 }; nope'");
        using var plain = new ShellTerminal($"-c '$env:NO_COLOR = 1; & \"$PSHOME/{ShellProcess.Name}\" -NoModule -c \"[pscustomobject]@{{ A = 1 }}; nope\"'");

        Assert.Equal(1, await coloured.ExitCodeAsync());
        await plain.ExitCodeAsync();
        Assert.Contains("\e[32;1m", coloured.Screen, StringComparison.Ordinal);
        Assert.Contains("\e[31;1m", coloured.Screen, StringComparison.Ordinal);
        Assert.DoesNotContain("\e[3", plain.Screen, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Progress_is_one_line_that_goes_away()
    {
        using var terminal = new ShellTerminal(
            "-c '$host.UI.WriteProgress(1, [System.Management.Automation.ProgressRecord]::new(1, \"Signing\", \"key 1\")); \"done\"'");

        await terminal.ExpectAsync("\r\e[KSigning: key 1");
        await terminal.ExpectAsync("\r\e[K");
        await terminal.ExpectAsync("done");
    }
}
