using System.Diagnostics;
using System.Text.Json.Nodes;
using Xunit;

namespace HsmRemote.Tests.Shell;

public sealed class ShellTests : IDisposable
{
    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("hsmremote-");

    public void Dispose() => _directory.Delete(recursive: true);

    [Fact]
    public async Task Version_and_help_are_told()
    {
        var version = await ShellProcess.RunAsync("-Version");
        var help = await ShellProcess.RunAsync("-?");

        Assert.Matches(@"^hsmremote \d+\.\d+\.\d+\n$", version.Output);
        Assert.StartsWith("Usage: hsmremote", help.Output, StringComparison.Ordinal);
        Assert.Equal((0, 0), (version.ExitCode, help.ExitCode));
    }

    [Fact]
    public async Task A_wrong_command_line_is_named_and_exits_64()
    {
        var result = await ShellProcess.RunAsync("-Bogus");

        Assert.Equal(64, result.ExitCode);
        Assert.Contains("'-Bogus'", result.Error, StringComparison.Ordinal);
        Assert.Empty(result.Output);
    }

    [Fact]
    public async Task Objects_are_shown_with_the_engines_own_formatting_and_no_escapes()
    {
        var result = await ShellProcess.RunAsync("-nop", "-noni", "-c", "[pscustomobject]@{ Name = 'edge'; Group = 'hsm' }; nope");

        Assert.Equal("\nName Group\n---- -----\nedge hsm\n\n", result.Output);
        Assert.StartsWith("nope: The term 'nope' is not recognized", result.Error, StringComparison.Ordinal);
        Assert.DoesNotContain('\e', result.Output + result.Error);
        Assert.Equal(1, result.ExitCode);
    }

    [Fact]
    public async Task A_script_may_come_on_standard_input()
    {
        var result = await ShellProcess.RunWithInputAsync("function f {\n  'from stdin'\n}\nf\nexit 3\n");

        Assert.Equal(new ShellResult(3, "from stdin\n", ""), result);
    }

    [Fact]
    public async Task A_command_reads_lines_of_standard_input_through_input()
    {
        var result = await ShellProcess.RunWithInputAsync("one\ntwo\n", "-c", "$input | Where-Object { $_ -like 't*' }");

        Assert.Equal(new ShellResult(0, "two\n", ""), result);
    }

    [Fact]
    public async Task Lines_that_come_late_are_waited_for()
    {
        var inner = $"(sleep 2; echo late) | '{ShellProcess.Executable}' -NoModule -c '$lines = @($input); $lines.Count; $lines'";
        var result = await ShellProcess.RunAsync("-c", $"sh -c \"{inner.Replace("$", "`$", StringComparison.Ordinal)}\"");

        Assert.Equal(new ShellResult(0, "1\nlate\n", ""), result);
    }

    [Fact]
    public async Task A_command_that_reads_nothing_does_not_wait_for_standard_input()
    {
        using var process = ShellProcess.Start(ShellProcess.Executable, ["-NoModule", "-c", "'done'"]);

        Assert.Equal("done\n", (await ShellProcess.FinishAsync(process)).Output);
    }

    [Fact]
    public async Task A_script_file_gets_its_arguments_and_knows_where_it_is()
    {
        var script = Script("build.ps1", """
            param([string] $Task, [switch] $Fast, [switch] $Slow, [int] $Count, [Parameter(ValueFromRemainingArguments)] $Rest)
            "$Task|$Fast|$Slow|$Count|$Rest"
            $PSScriptRoot
            $PSCommandPath
            $MyInvocation.MyCommand.Name
            """);

        var result = await ShellProcess.RunAsync("-f", script, "-Task", "Test", "-Fast", "-Slow:$false", "7", "a", "b c");

        Assert.Equal($"Test|True|False|7|a b c\n{_directory.FullName}\n{script}\nbuild.ps1\n", result.Output);
        Assert.Equal(0, result.ExitCode);
    }

    [Fact]
    public async Task A_script_that_is_missing_is_an_error()
    {
        var result = await ShellProcess.RunAsync("-File", "/nowhere/x.ps1");

        Assert.Equal(1, result.ExitCode);
        Assert.Contains("'/nowhere/x.ps1'", result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_error_says_what_is_wrong()
    {
        var parsing = await ShellProcess.RunAsync("-c", "if (");
        var thrown = await ShellProcess.RunAsync(Script("x.ps1", "\nthrow 'deep trouble'"));

        Assert.Contains("Missing condition in if statement", parsing.Error, StringComparison.Ordinal);
        Assert.Contains("x.ps1:2", thrown.Error, StringComparison.Ordinal);
        Assert.Contains("deep trouble", thrown.Error, StringComparison.Ordinal);
        Assert.Equal(("", ""), (parsing.Output, thrown.Output));
    }

    [Fact]
    public async Task Warnings_verbose_and_debug_go_to_standard_error_and_progress_is_not_shown()
    {
        var result = await ShellProcess.RunAsync("-c", """
            function f {
                [CmdletBinding()] param()
                $PSCmdlet.WriteVerbose('v'); $PSCmdlet.WriteWarning('w'); $PSCmdlet.WriteDebug('d')
                $PSCmdlet.WriteProgress([System.Management.Automation.ProgressRecord]::new(1, 'working', 'on it'))
                'result'
            }
            $DebugPreference = 'Continue'
            f -Verbose
            """);

        Assert.Equal(new ShellResult(0, "result\n", "VERBOSE: v\nWARNING: w\nDEBUG: d\n"), result);
    }

    [Fact]
    public async Task A_native_command_writes_where_the_shell_writes()
    {
        var result = await ShellProcess.RunWithInputAsync(
            "given\n", "-c", "/bin/cat; /bin/sh -c 'echo out; echo err >&2'; $x = /bin/echo kept; \"<$x>\"");

        Assert.Equal(new ShellResult(0, "given\nout\n<kept>\n", "err\n"), result);
    }

    [Fact]
    public async Task Redirected_output_is_120_wide_unless_COLUMNS_says_otherwise()
    {
        const string command = "[pscustomobject]@{ L = 'y' * 200 }";
        var plain = await ShellProcess.RunAsync("-c", command);
        using var process = ShellProcess.Start(ShellProcess.Executable, ["-NoModule", "-c", command], columns: "40");
        var narrow = await ShellProcess.FinishAsync(process);

        // The engine leaves the last column of a table free.
        Assert.Equal(119, plain.Output.Split('\n').Max(static line => line.Length));
        Assert.Equal(39, narrow.Output.Split('\n').Max(static line => line.Length));
    }

    [Fact]
    public async Task Json_is_all_that_standard_output_gets_and_is_valid_after_an_error()
    {
        var result = await ShellProcess.RunAsync(
            "-OutputFormat", "Json", "-c",
            "1, 2; [pscustomobject]@{ Uri = [uri]'https://h/?a=1&b=2'; Day = [DayOfWeek]::Friday; At = [datetime]'2026-01-02' };"
            + "/bin/echo native; $host.UI.WriteLine('aside'); 5 | Out-Default; Import-Module nope; throw 'end'");

        var array = JsonNode.Parse(result.Output)!.AsArray();
        Assert.Equal(
            """[1,2,{"Uri":"https://h/?a=1\u0026b=2","Day":"Friday","At":"2026-01-02T00:00:00.0000000"},"native"]""",
            array.ToJsonString());
        Assert.Contains("aside\n5\n", result.Error, StringComparison.Ordinal);
        Assert.Contains("'nope' was not loaded", result.Error, StringComparison.Ordinal);
        Assert.Contains("end", result.Error, StringComparison.Ordinal);
        Assert.Equal(1, result.ExitCode);
    }

    [Fact]
    public async Task Json_of_nothing_is_an_empty_array() =>
        Assert.Equal(new ShellResult(4, "[]\n", ""), await ShellProcess.RunAsync("-of", "Json", "-c", "exit 4"));

    [Fact]
    public async Task Json_after_an_error_that_stops_nothing_exits_1()
    {
        var result = await ShellProcess.RunAsync("-of", "Json", "-c", "Import-Module nope; 'after'");

        Assert.Equal((1, "[\n\"after\"\n]\n"), (result.ExitCode, result.Output));
    }

    [Theory]
    [InlineData("INT", 130, "while ($true) { }")]
    [InlineData("INT", 130, "[System.Threading.Thread]::Sleep(600000)")]
    [InlineData("TERM", 143, "while ($true) { }")]
    [InlineData("TERM", 143, "[System.Threading.Thread]::Sleep(600000)")]
    public async Task A_signal_stops_what_runs_even_what_does_not_listen(string signal, int expected, string command)
    {
        using var process = ShellProcess.Start(
            ShellProcess.Executable, ["-NoModule", "-of", "Json", "-c", $"'started'; {command}"]);
        Assert.Equal("[", await process.StandardOutput.ReadLineAsync(TestContext.Current.CancellationToken));

        var clock = Stopwatch.StartNew();
        using var kill = Process.Start("/bin/kill", [$"-{signal}", $"{process.Id}"]);
        var result = await ShellProcess.FinishAsync(process);

        Assert.Equal(expected, result.ExitCode);
        Assert.EndsWith("\n]\n", result.Output, StringComparison.Ordinal);
        // It promises one second; a busy machine is given more before this is called broken.
        Assert.InRange(clock.Elapsed, TimeSpan.Zero, TimeSpan.FromSeconds(10));
    }

    [Fact]
    public async Task A_signal_lets_a_command_finish_that_says_it_has_to_and_a_second_one_does_not()
    {
        var finished = Path.Combine(_directory.FullName, "finished");
        const string begin = "[AppContext]::SetData('HsmRemote.Finishing', $true); 'started'; [System.Threading.Thread]::Sleep(";
        var end = $"); [System.IO.File]::WriteAllText('{finished}', ''); [AppContext]::SetData('HsmRemote.Finishing', $false)";
        foreach (var (seconds, signals) in new[] { (600, 2), (8, 1) })
        {
            Assert.False(File.Exists(finished));
            // Of a stopped pipeline what is in 'finally' is still run.
            using var process = ShellProcess.Start(ShellProcess.Executable, ["-NoModule", "-c", $"try {{ {begin}1) }} finally {{ [System.Threading.Thread]::Sleep({seconds * 1000}{end} }}"]);
            Assert.Equal("started", await process.StandardOutput.ReadLineAsync(TestContext.Current.CancellationToken));
            for (var signal = 0; signal < signals; signal++)
            {
                using var kill = Process.Start("/bin/kill", ["-TERM", $"{process.Id}"]);
                await kill.WaitForExitAsync(TestContext.Current.CancellationToken);
                await Task.Delay(TimeSpan.FromSeconds(2), TestContext.Current.CancellationToken);
            }

            Assert.Equal(143, (await ShellProcess.FinishAsync(process)).ExitCode);
        }

        Assert.True(File.Exists(finished));
    }

    [Theory]
    [InlineData("-Command")]
    [InlineData("-NonInteractive -Command")]
    public async Task Without_a_terminal_a_question_fails_clearly(string options)
    {
        const string cmdlet =
            "function Remove-It { [CmdletBinding(SupportsShouldProcess, ConfirmImpact = 'High')] param([Parameter(Mandatory)] $Name)"
            + "if ($PSCmdlet.ShouldProcess($Name)) { 'removed' } };";
        var asked = await ShellProcess.RunAsync([.. options.Split(' '), cmdlet + "Remove-It edge"]);
        var confirmed = await ShellProcess.RunAsync([.. options.Split(' '), cmdlet + "Remove-It edge -Confirm:$false"]);
        var mandatory = await ShellProcess.RunAsync([.. options.Split(' '), cmdlet + "Remove-It"]);
        var secret = await ShellProcess.RunAsync([.. options.Split(' '), "$host.UI.ReadLineAsSecureString()"]);

        Assert.Equal(new ShellResult(0, "removed\n", ""), confirmed);
        Assert.Equal((1, 1, 1), (asked.ExitCode, mandatory.ExitCode, secret.ExitCode));
        Assert.Contains("Are you sure you want to perform this action?", asked.Error, StringComparison.Ordinal);
        Assert.Contains("-Confirm:$false", asked.Error, StringComparison.Ordinal);
        Assert.Contains("mandatory parameters: Name", mandatory.Error, StringComparison.Ordinal);
        Assert.Contains("Cannot ask for a secret", secret.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task It_starts_in_the_working_directory() =>
        Assert.Equal(_directory.FullName + "\n", (await ShellProcess.RunAsync("-wd", _directory.FullName, "-c", "$PWD.Path")).Output);

    [Fact]
    public async Task Nothing_is_written_into_the_home_directory()
    {
        var result = await ShellProcess.RunAsync("-c", $"$env:HOME = '{_directory.FullName}'; & '{ShellProcess.Executable}' -NoModule -c 'nope; 1'");

        Assert.Equal("1\n", result.Output);
        Assert.Empty(_directory.EnumerateFiles("*", SearchOption.AllDirectories));
    }

    private string Script(string name, string text)
    {
        var path = Path.Combine(_directory.FullName, name);
        File.WriteAllText(path, text);
        return path;
    }
}
