using System.Management.Automation;
using System.Text;

namespace HsmRemote.Shell;

/// <summary>Edits a line, or several that belong together, at the terminal.</summary>
/// <remarks>
/// PSReadLine is not on the package source; RadLine, which is, calls itself a preview and brings Spectre.Console along.
/// </remarks>
internal sealed class LineEditor(Terminal terminal)
{
    private const string Continuation = ">> ";

    private readonly List<string> _history = [];
    private readonly StringBuilder _text = new();
    private string _prompt = "";
    private string _draft = "";
    private int _cursor;
    private int _cursorRow;
    private int _historyIndex;
    private CommandCompletion? _completion;
    private string _completedText = "";

    /// <summary>Completes a text at a position.</summary>
    public Func<string, int, CommandCompletion?>? Complete { get; init; }

    /// <summary>Whether a text needs another line.</summary>
    public Func<string, bool>? IsIncomplete { get; init; }

    /// <summary>Reads a text; null at the end of the input.</summary>
    /// <exception cref="OperationCanceledException">Ctrl-C was pressed.</exception>
    public string? ReadLine(string prompt)
    {
        var lastNewLine = prompt.LastIndexOf('\n');
        terminal.Screen.Write(prompt[..(lastNewLine + 1)]);
        _prompt = prompt[(lastNewLine + 1)..];
        _text.Clear();
        _cursor = 0;
        _cursorRow = 0;
        _historyIndex = _history.Count;
        _completion = null;
        using var keys = Terminal.ControlCAsKey();
        Draw();
        while (true)
        {
            var key = Console.ReadKey(intercept: true);
            var isControl = key.Modifiers.HasFlag(ConsoleModifiers.Control);
            if (key.Key == ConsoleKey.Enter)
            {
                if (IsIncomplete?.Invoke(_text.ToString()) == true)
                {
                    Insert("\n");
                    continue;
                }

                LeaveLine();
                return _text.ToString();
            }

            if (isControl && key.Key == ConsoleKey.C)
            {
                LeaveLine();
                throw new OperationCanceledException();
            }

            if (isControl && key.Key == ConsoleKey.D && _text.Length == 0)
            {
                LeaveLine();
                return null;
            }

            Edit(key, isControl);
        }
    }

    public void Remember(string text)
    {
        if (text.Length > 0 && (_history.Count == 0 || !string.Equals(_history[^1], text, StringComparison.Ordinal)))
            _history.Add(text);
    }

    private void Edit(ConsoleKeyInfo key, bool isControl)
    {
        if (key.Key == ConsoleKey.Tab && Complete is not null)
        {
            CompleteNext(forward: !key.Modifiers.HasFlag(ConsoleModifiers.Shift));
            return;
        }

        _completion = null;
        switch (key.Key)
        {
            case ConsoleKey.Backspace:
                Delete(Previous(), _cursor);
                break;
            case ConsoleKey.Delete or ConsoleKey.D when isControl || key.Key == ConsoleKey.Delete:
                Delete(_cursor, Next());
                break;
            case ConsoleKey.LeftArrow when isControl:
                MoveTo(WordStart());
                break;
            case ConsoleKey.RightArrow when isControl:
                MoveTo(WordEnd());
                break;
            case ConsoleKey.LeftArrow or ConsoleKey.B when isControl || key.Key == ConsoleKey.LeftArrow:
                MoveTo(Previous());
                break;
            case ConsoleKey.RightArrow or ConsoleKey.F when isControl || key.Key == ConsoleKey.RightArrow:
                MoveTo(Next());
                break;
            case ConsoleKey.Home or ConsoleKey.A when isControl || key.Key == ConsoleKey.Home:
                MoveTo(0);
                break;
            case ConsoleKey.End or ConsoleKey.E when isControl || key.Key == ConsoleKey.End:
                MoveTo(_text.Length);
                break;
            case ConsoleKey.UpArrow or ConsoleKey.P when isControl || key.Key == ConsoleKey.UpArrow:
                Recall(_historyIndex - 1);
                break;
            case ConsoleKey.DownArrow or ConsoleKey.N when isControl || key.Key == ConsoleKey.DownArrow:
                Recall(_historyIndex + 1);
                break;
            case ConsoleKey.U when isControl:
                Delete(0, _cursor);
                break;
            case ConsoleKey.K when isControl:
                Delete(_cursor, _text.Length);
                break;
            case ConsoleKey.W when isControl:
                Delete(WordStart(), _cursor);
                break;
            case ConsoleKey.L when isControl:
                terminal.Screen.Write("\e[2J\e[H");
                _cursorRow = 0;
                Draw();
                break;
            default:
                if (!char.IsControl(key.KeyChar) && !key.Modifiers.HasFlag(ConsoleModifiers.Alt))
                    Insert(key.KeyChar.ToString());
                break;
        }
    }

    private void Insert(string text)
    {
        _text.Insert(_cursor, text);
        MoveTo(_cursor + text.Length);
    }

    private void Delete(int from, int to)
    {
        _text.Remove(from, to - from);
        MoveTo(from);
    }

    private void MoveTo(int position)
    {
        _cursor = position;
        Draw();
    }

    private void Replace(string text, int cursor)
    {
        _text.Clear().Append(text);
        MoveTo(cursor);
    }

    private void Recall(int index)
    {
        if (index < 0 || index > _history.Count)
            return;
        if (_historyIndex == _history.Count)
            _draft = _text.ToString();
        _historyIndex = index;
        var text = index == _history.Count ? _draft : _history[index];
        Replace(text, text.Length);
    }

    private void CompleteNext(bool forward)
    {
        if (_completion is null)
        {
            _completedText = _text.ToString();
            _completion = Complete!(_completedText, _cursor);
        }

        if (_completion?.GetNextResult(forward) is not { } result)
            return;
        var start = _completion.ReplacementIndex;
        var rest = _completedText[(start + _completion.ReplacementLength)..];
        Replace(_completedText[..start] + result.CompletionText + rest, start + result.CompletionText.Length);
    }

    private int Previous() =>
        _cursor - (_cursor > 1 && char.IsSurrogatePair(_text[_cursor - 2], _text[_cursor - 1]) ? 2 : Math.Min(_cursor, 1));

    private int Next() =>
        _cursor + (_cursor < _text.Length - 1 && char.IsSurrogatePair(_text[_cursor], _text[_cursor + 1])
            ? 2
            : Math.Min(_text.Length - _cursor, 1));

    private int WordStart()
    {
        var position = _cursor;
        while (position > 0 && char.IsWhiteSpace(_text[position - 1]))
            position--;
        while (position > 0 && !char.IsWhiteSpace(_text[position - 1]))
            position--;
        return position;
    }

    private int WordEnd()
    {
        var position = _cursor;
        while (position < _text.Length && char.IsWhiteSpace(_text[position]))
            position++;
        while (position < _text.Length && !char.IsWhiteSpace(_text[position]))
            position++;
        return position;
    }

    private void LeaveLine()
    {
        MoveTo(_text.Length);
        terminal.Screen.Write("\r\n");
    }

    private void Draw()
    {
        var screen = new StringBuilder();
        if (_cursorRow > 0)
            screen.Append($"\e[{_cursorRow}A");
        screen.Append("\r\e[J").Append(_prompt).Append(Laid(_text.ToString()).Replace("\n", "\r\n", StringComparison.Ordinal));

        var end = PlaceAfter(_text.ToString());
        var cursor = PlaceAfter(_text.ToString(0, _cursor));
        // A terminal keeps the cursor on a line that is exactly full until something more is written.
        if (end is { Column: 0, Row: > 0 } && _text is not [.., '\n'])
            screen.Append("\r\n");
        if (end.Row > cursor.Row)
            screen.Append($"\e[{end.Row - cursor.Row}A");
        screen.Append('\r');
        if (cursor.Column > 0)
            screen.Append($"\e[{cursor.Column}C");
        _cursorRow = cursor.Row;
        terminal.Screen.Write(screen.ToString());
    }

    private static string Laid(string text) => text.Replace("\n", "\n" + Continuation, StringComparison.Ordinal);

    private (int Row, int Column) PlaceAfter(string text)
    {
        var width = Terminal.Width;
        var (row, column) = (0, 0);
        foreach (var rune in (Terminal.WithoutEscapes(_prompt) + Laid(text)).EnumerateRunes())
        {
            if (rune.Value == '\n')
            {
                (row, column) = (row + 1, 0);
                continue;
            }

            var cells = Terminal.CellsOf(rune.ToString());
            if (column + cells > width)
                (row, column) = (row + 1, 0);
            column += cells;
        }

        return column == width ? (row + 1, 0) : (row, column);
    }
}
