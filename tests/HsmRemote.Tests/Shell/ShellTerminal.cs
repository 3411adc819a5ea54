using System.Diagnostics;
using System.Text;
using Xunit;

namespace HsmRemote.Tests.Shell;

/// <summary>hsmremote at a real pseudo-terminal, which util-linux's script gives it.</summary>
internal sealed class ShellTerminal : IDisposable
{
    public const string ControlC = "\x03";
    public const string ControlD = "\x04";
    public const string Enter = "\r";

    private const string ScriptTool = "/usr/bin/script";

    // Only ever reached by a test that is about to fail.
    private static readonly TimeSpan _patience = TimeSpan.FromSeconds(30);

    private readonly Process _process;
    private readonly StringBuilder _screen = new();
    private int _seen;

    public ShellTerminal(string arguments)
    {
        Assert.SkipUnless(File.Exists(ScriptTool), $"{ScriptTool} of util-linux is not installed, and makes the pseudo-terminal.");
        // Replaced by the program: Ctrl-C goes to a shell that waits, too, and some end of it.
        _process = ShellProcess.Start(
            ScriptTool, ["-qec", $"stty cols 80 rows 24; exec {ShellProcess.Executable} -NoModule {arguments}", "/dev/null"]);
        _process.StandardInput.AutoFlush = true;
    }

    public string Screen => _screen.ToString();

    /// <summary>Types, as fast as a paste would.</summary>
    public void Type(string keys) => _process.StandardInput.Write(keys);

    /// <summary>Waits until a text appears after the one waited for before.</summary>
    public async Task ExpectAsync(string text)
    {
        using var deadline = new CancellationTokenSource(_patience);
        var buffer = new char[4096];
        while (true)
        {
            var found = Screen.IndexOf(text, _seen, StringComparison.Ordinal);
            if (found >= 0)
            {
                _seen = found + text.Length;
                return;
            }

            var count = await _process.StandardOutput.ReadAsync(buffer, deadline.Token);
            Assert.True(count > 0, $"The terminal closed without '{text}': {Screen}");
            _screen.Append(buffer, 0, count);
        }
    }

    public async Task<int> ExitCodeAsync()
    {
        _screen.Append(await _process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken));
        await _process.WaitForExitAsync(TestContext.Current.CancellationToken);
        return _process.ExitCode;
    }

    public void Dispose()
    {
        if (!_process.HasExited)
            _process.Kill(entireProcessTree: true);
        _process.Dispose();
    }
}
