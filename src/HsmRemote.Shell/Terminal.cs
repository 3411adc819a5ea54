using System.Management.Automation;
using System.Management.Automation.Internal;
using Wcwidth;

namespace HsmRemote.Shell;

/// <summary>What of standard input, output and error is a terminal, and what may be done there.</summary>
internal sealed class Terminal
{
    private const int RedirectedWidth = 120;
    private const int FallbackWidth = 80;

    private readonly Lazy<TextWriter> _screen;

    public Terminal()
    {
        HasInput = !Console.IsInputRedirected;
        HasOutput = !Console.IsOutputRedirected;
        HasError = !Console.IsErrorRedirected;
        var allowsColour = string.IsNullOrEmpty(Environment.GetEnvironmentVariable("NO_COLOR"))
            && Environment.GetEnvironmentVariable("TERM") is not "dumb";
        ColoursOutput = HasOutput && allowsColour;
        ColoursError = HasError && allowsColour;
        _screen = new Lazy<TextWriter>(() => HasError ? Console.Error : OpenControllingTerminal());
    }

    public bool HasInput { get; }

    public bool HasOutput { get; }

    public bool HasError { get; }

    public bool ColoursOutput { get; }

    public bool ColoursError { get; }

    /// <summary>Where prompts go: never standard output, which belongs to the script's results.</summary>
    public TextWriter Screen => _screen.Value;

    /// <summary>The width that output is laid out for.</summary>
    public int OutputWidth
    {
        get
        {
            if (HasOutput)
                return Width;
            return int.TryParse(Environment.GetEnvironmentVariable("COLUMNS"), out var columns) && columns > 0
                ? columns
                : RedirectedWidth;
        }
    }

    public static int Width => Console.WindowWidth is > 0 and var width ? width : FallbackWidth;

    public static int CellsOf(string text) => text.All(char.IsAscii)
        ? text.Length
        : text.EnumerateRunes().Sum(static rune => Math.Max(0, UnicodeCalculator.GetWidth(rune.Value)));

    public static string WithoutEscapes(string text) =>
        text.Contains('\e', StringComparison.Ordinal) ? new StringDecorated(text).ToString(OutputRendering.PlainText) : text;

    /// <summary>Reads a key; Ctrl-C is a key too until the returned scope ends.</summary>
    public static IDisposable ControlCAsKey() => new ControlCScope();

    private static StreamWriter OpenControllingTerminal() => new("/dev/tty") { AutoFlush = true };

    private sealed class ControlCScope : IDisposable
    {
        public ControlCScope() => Console.TreatControlCAsInput = true;

        public void Dispose() => Console.TreatControlCAsInput = false;
    }
}
