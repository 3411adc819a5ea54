using System.Diagnostics;

namespace HsmRemote.Tests.Module;

/// <summary>Builds module.c with switches. Each build is another library, since a library is loaded once in a process.</summary>
static class TestModule
{
    internal static string Build(DirectoryInfo directory, params string[] switches)
    {
        Assert.SkipUnless(File.Exists("/usr/bin/cc"), "No C compiler is installed: bad modules are NOT tested.");
        var library = Path.Combine(directory.FullName, $"module{Guid.NewGuid():N}.so");
        string[] arguments =
        [
            "-shared", "-fPIC", "-w", "-o", library, .. switches.Select(define => $"-D{define}"),
            Path.Combine(AppContext.BaseDirectory, "Module", "module.c"),
        ];
        using var compiler = Process.Start(new ProcessStartInfo("cc", arguments) { UseShellExecute = false, RedirectStandardError = true })!;
        var errors = compiler.StandardError.ReadToEnd();
        compiler.WaitForExit();
        Assert.True(compiler.ExitCode == 0, errors);
        return library;
    }
}
