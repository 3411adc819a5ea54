namespace HsmRemote.Shell;

/// <summary>Standard error, with the line of progress at its end.</summary>
internal sealed class Diagnostics(Terminal terminal)
{
    private const string ResetColour = "\e[0m";
    private const string ClearLine = "\r\e[K";

    private readonly Lock _lock = new();
    private bool _progressShown;

    public void Write(string text)
    {
        lock (_lock)
        {
            EraseProgress();
            Console.Error.Write(terminal.ColoursError ? text : Terminal.WithoutEscapes(text));
        }
    }

    /// <summary>Writes a line in a colour, unless it brings its own or the reader is no terminal.</summary>
    public void WriteLine(string colour, string text)
    {
        var bringsItsOwn = text.Contains('\e', StringComparison.Ordinal);
        Write(terminal.ColoursError && !bringsItsOwn ? $"{colour}{text}{ResetColour}\n" : text + "\n");
    }

    /// <summary>Shows a line of progress, until the next; without a terminal progress is not shown at all.</summary>
    public void ShowProgress(string line)
    {
        if (!terminal.HasError)
            return;
        lock (_lock)
        {
            var width = Terminal.Width - 1;
            Console.Error.Write(ClearLine + (line.Length > width ? line[..width] : line));
            _progressShown = true;
        }
    }

    public void ClearProgress()
    {
        lock (_lock)
            EraseProgress();
    }

    private void EraseProgress()
    {
        if (!_progressShown)
            return;
        Console.Error.Write(ClearLine);
        _progressShown = false;
    }
}
