using System.Management.Automation.Host;

namespace HsmRemote.Shell;

/// <summary>The sizes that formatting asks for; drawing on a screen's cells is not for this host.</summary>
internal sealed class ShellRawUserInterface(Terminal terminal) : PSHostRawUserInterface
{
    private const int Lines = 50;

    public override ConsoleColor ForegroundColor { get; set; } = ConsoleColor.Gray;

    public override ConsoleColor BackgroundColor { get; set; } = ConsoleColor.Black;

    public override Size BufferSize
    {
        get => new(terminal.OutputWidth, terminal.HasOutput ? Math.Max(1, Console.WindowHeight) : Lines);
        set => throw NotHere();
    }

    public override Size WindowSize
    {
        get => BufferSize;
        set => throw NotHere();
    }

    public override Size MaxWindowSize => BufferSize;

    public override Size MaxPhysicalWindowSize => BufferSize;

    public override Coordinates WindowPosition { get; set; }

    public override Coordinates CursorPosition { get; set; }

    public override int CursorSize { get; set; } = 25;

    public override string WindowTitle { get; set; } = "hsmremote";

    public override bool KeyAvailable => terminal.HasInput && Console.KeyAvailable;

    public override int LengthInBufferCells(string source) => Terminal.CellsOf(Terminal.WithoutEscapes(source));

    public override int LengthInBufferCells(string source, int offset) => LengthInBufferCells(source[offset..]);

    public override int LengthInBufferCells(char source) =>
        char.IsSurrogate(source) ? 1 : Terminal.CellsOf(source.ToString());

    public override KeyInfo ReadKey(ReadKeyOptions options)
    {
        if (!terminal.HasInput)
            throw new HostException("Cannot read a key: standard input is not a terminal.");
        var key = Console.ReadKey(intercept: options.HasFlag(ReadKeyOptions.NoEcho));
        return new KeyInfo((int)key.Key, key.KeyChar, default, keyDown: true);
    }

    public override void FlushInputBuffer()
    {
        while (KeyAvailable)
            Console.ReadKey(intercept: true);
    }

    public override BufferCell[,] GetBufferContents(Rectangle rectangle) => throw NotHere();

    public override void ScrollBufferContents(Rectangle source, Coordinates destination, Rectangle clip, BufferCell fill) =>
        throw NotHere();

    public override void SetBufferContents(Rectangle rectangle, BufferCell fill) => throw NotHere();

    public override void SetBufferContents(Coordinates origin, BufferCell[,] contents) => throw NotHere();

    private static NotSupportedException NotHere() => new("This host does not draw on the screen's cells.");
}
