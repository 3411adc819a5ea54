using Xunit;

namespace HsmRemote.Tests.Shell;

public sealed class ShellExitCodeTests : IDisposable
{
    private readonly string _script = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName() + ".ps1");

    public void Dispose() => File.Delete(_script);

    [Theory]
    [InlineData("1", 0)]
    [InlineData("exit 7", 7)]
    [InlineData("function f { exit 9 }; f; 'never'", 9)]
    [InlineData("throw 'x'", 1)]
    [InlineData("Import-Module nope; 'after'", 1)]
    [InlineData("Import-Module nope; exit 0", 0)]
    [InlineData("if (", 1)]
    [InlineData("foo )", 1)]
    [InlineData("/bin/false", 1)]
    [InlineData("/bin/false; 'after'", 0)]
    [InlineData("try { throw 'x' } catch { 'caught' }", 0)]
    [InlineData("Import-Module nope -ErrorAction SilentlyContinue", 0)]
    [InlineData("Import-Module nope -ErrorAction Ignore; 1", 0)]
    public async Task The_exit_code_tells_of_errors_and_of_exit(string command, int expected)
    {
        var result = await ShellProcess.RunAsync("-c", command);

        Assert.Equal(expected, result.ExitCode);
        Assert.DoesNotContain("never", result.Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("exit 7", 7)]
    [InlineData("Import-Module nope; exit 0", 0)]
    [InlineData("Import-Module nope", 1)]
    [InlineData("& { throw 'deep' }", 1)]
    [InlineData("1", 0)]
    public async Task The_exit_code_of_a_script_file_is_its_own(string text, int expected)
    {
        await File.WriteAllTextAsync(_script, text, TestContext.Current.CancellationToken);

        Assert.Equal(expected, (await ShellProcess.RunAsync(_script)).ExitCode);
    }
}
