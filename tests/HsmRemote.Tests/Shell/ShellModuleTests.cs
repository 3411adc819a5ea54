using Xunit;

namespace HsmRemote.Tests.Shell;

/// <summary>A shell of its own, with a module beside it.</summary>
public sealed class ShellModuleTests : IDisposable
{
    private readonly DirectoryInfo _root = Directory.CreateTempSubdirectory("hsmremote-");
    private readonly string _executable;

    public ShellModuleTests()
    {
        var shell = _root.CreateSubdirectory("shell");
        // The shell finds its module from where its own files lie, so that a link would not do.
        foreach (var file in Directory.EnumerateFiles(ShellProcess.Directory))
            File.Copy(file, Path.Combine(shell.FullName, Path.GetFileName(file)));
        _executable = Path.Combine(shell.FullName, ShellProcess.Name);
    }

    private string ModuleDirectory => Path.Combine(_root.FullName, "HsmRemote", HsmRemote.Shell.ShellVersion.Number);

    public void Dispose() => _root.Delete(recursive: true);

    [Fact]
    public async Task The_module_is_imported_already()
    {
        InstallModule("function Get-P11Fake { 'fake' }");

        var result = await RunAsync("-c", "(Get-Module HsmRemote).ModuleBase; Get-P11Fake; $env:PSModulePath");

        Assert.StartsWith($"{ModuleDirectory}\nfake\n{_root.FullName}:", result.Output, StringComparison.Ordinal);
        Assert.Equal((0, ""), (result.ExitCode, result.Error));
    }

    [Fact]
    public async Task A_module_that_is_missing_is_named()
    {
        var result = await RunAsync("-c", "'never'");

        Assert.Equal((1, ""), (result.ExitCode, result.Output));
        Assert.Contains(Path.Combine(ModuleDirectory, "HsmRemote.psd1"), result.Error, StringComparison.Ordinal);
        Assert.Contains("-NoModule", result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_module_that_does_not_load_says_why()
    {
        InstallModule("throw 'broken inside'");

        var result = await RunAsync("-c", "'never'");

        Assert.Equal((1, ""), (result.ExitCode, result.Output));
        Assert.Contains("broken inside", result.Error, StringComparison.Ordinal);
    }

    private void InstallModule(string script)
    {
        Directory.CreateDirectory(ModuleDirectory);
        File.WriteAllText(Path.Combine(ModuleDirectory, "HsmRemote.psm1"), script);
        File.WriteAllText(
            Path.Combine(ModuleDirectory, "HsmRemote.psd1"),
            $"@{{ RootModule = 'HsmRemote.psm1'; ModuleVersion = '{HsmRemote.Shell.ShellVersion.Number}'; FunctionsToExport = '*' }}");
    }

    private async Task<ShellResult> RunAsync(params string[] arguments)
    {
        using var process = ShellProcess.Start(_executable, arguments);
        return await ShellProcess.FinishAsync(process);
    }
}
