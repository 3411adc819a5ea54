using HsmRemote.Shell;
using Xunit;

namespace HsmRemote.Tests.Shell;

public sealed class CommandLineTests
{
    [Theory]
    [InlineData("-Command")]
    [InlineData("-command")]
    [InlineData("--command")]
    [InlineData("-c")]
    [InlineData("-Com")]
    public void Command_takes_the_rest_of_the_line(string option)
    {
        var line = CommandLine.Parse([option, "Get-Thing", "-Name", "a b"]);

        Assert.Null(line.Error);
        Assert.Equal(ScriptSource.Command, line.Source);
        Assert.Equal("Get-Thing -Name a b", line.Script);
    }

    [Fact]
    public void File_binds_its_arguments_as_pwsh_does()
    {
        var line = CommandLine.Parse(
            ["-f", "build.ps1", "-Task", "Test", "-Fast:$false", "-Mode:Slow", "-Late:", "value", "-5", "-", "plain"]);

        Assert.Equal(ScriptSource.File, line.Source);
        Assert.Equal("build.ps1", line.Script);
        Assert.Equal(
            [
                ("-Task", null), (null, "Test"), ("-Fast", false), ("-Mode", "Slow"), ("-Late", "value"),
                (null, "-5"), (null, "-"), (null, "plain"),
            ],
            line.Arguments.Select(static argument => ((string?)argument.Name, (object?)argument.Value)));
    }

    [Fact]
    public void First_word_that_is_no_option_is_a_script()
    {
        var line = CommandLine.Parse(["-NoProfile", "x.ps1", "-Version"]);

        Assert.Equal(ScriptSource.File, line.Source);
        Assert.Equal("-Version", Assert.Single(line.Arguments).Name);
        Assert.False(line.ShowVersion);
    }

    [Fact]
    public void Options_of_pwsh_are_accepted_abbreviated_and_in_any_case()
    {
        var line = CommandLine.Parse(
            ["-nop", "-NONI", "-nol", "-ep", "Bypass", "-ex", "Bypass", "-if", "Text", "-of", "json", "-wd", "/tmp", "-c", "1"]);

        Assert.Null(line.Error);
        Assert.True(line.NonInteractive);
        Assert.True(line.NoLogo);
        Assert.Equal(OutputFormat.Json, line.OutputFormat);
        Assert.Equal("/tmp", line.WorkingDirectory);
        Assert.Equal("1", line.Script);
    }

    [Theory]
    [InlineData("-c", "-")]
    [InlineData("-File", "-")]
    [InlineData("-")]
    public void Dash_is_standard_input(params string[] arguments) =>
        Assert.Equal(ScriptSource.StandardInput, CommandLine.Parse(arguments).Source);

    [Theory]
    [InlineData("Unknown option '-Bogus'", "-Bogus")]
    [InlineData("Unknown option '-no'", "-no")]
    [InlineData("-c needs a command", "-c")]
    [InlineData("-File needs the path of a script", "-File")]
    [InlineData("-of is Text or Json, not 'Xml'", "-of", "Xml")]
    [InlineData("-of is Text or Json, not '1'", "-of", "1")]
    [InlineData("-wd needs a directory", "-wd")]
    public void What_is_wrong_is_named(string expected, params string[] arguments) =>
        Assert.StartsWith(expected, CommandLine.Parse(arguments).Error, StringComparison.Ordinal);
}
