using System.Text;

namespace HsmRemote.Services.Server;

/// <summary>A shell's words, sh(1), as far as one finds them in a unit: quotes, backslashes, variables, several commands.</summary>
/// <remarks>What only a shell can work out (command substitution, arithmetic) stays as it is written.</remarks>
sealed class ShellWords
{
    readonly string script;
    readonly Func<string, string?> variable;
    readonly List<List<CommandWord>> commands = [[]];
    readonly List<StringBuilder> values = [];
    int at;

    // The word at hand: whether it is more than nothing, and the variable that it is, as long as it is nothing else.
    bool begun;
    string? only;
    bool splits;

    ShellWords(string script, Func<string, string?> variable)
    {
        this.script = script;
        this.variable = variable;
    }

    /// <summary>White space separates, quotes keep together and go: systemd's own splitting of a variable.</summary>
    internal static IReadOnlyList<string> Split(string text)
    {
        List<string> words = [];
        var word = new StringBuilder();
        var isWord = false;
        var quote = '\0';
        foreach (var c in text)
        {
            if (quote != '\0' ? c == quote : c is '"' or '\'')
            {
                quote = quote == '\0' ? c : '\0';
                isWord = true;
            }
            else if (quote == '\0' && char.IsWhiteSpace(c))
            {
                if (isWord)
                    words.Add(word.ToString());
                word.Clear();
                isWord = false;
            }
            else
            {
                word.Append(c);
                isWord = true;
            }
        }

        if (isWord)
            words.Add(word.ToString());
        return words;
    }

    /// <summary>The simple commands of a script, each as its words.</summary>
    internal static IReadOnlyList<IReadOnlyList<CommandWord>> Commands(string script, Func<string, string?> variable)
    {
        var words = new ShellWords(script, variable);
        words.Read();
        return words.commands;
    }

    void Read()
    {
        for (; at < script.Length; at++)
        {
            switch (script[at])
            {
                case ' ' or '\t':
                    End();
                    break;
                case ';' or '&' or '|' or '\n':
                    End();
                    commands.Add([]);
                    break;
                case '\'':
                    ReadQuoted();
                    break;
                case '"':
                    ReadDoubleQuoted();
                    break;
                case '$':
                    Substitute(quoted: false);
                    break;
                case '\\' when at + 1 < script.Length:
                    Append(script[++at]);
                    break;
                case var c:
                    Append(c);
                    break;
            }
        }

        End();
    }

    void ReadQuoted()
    {
        Begin();
        for (at++; at < script.Length && script[at] != '\''; at++)
            Append(script[at]);
    }

    void ReadDoubleQuoted()
    {
        Begin();
        for (at++; at < script.Length && script[at] != '"'; at++)
        {
            if (script[at] == '$')
                Substitute(quoted: true);
            else if (script[at] == '\\' && at + 1 < script.Length && script[at + 1] is '"' or '\\' or '$' or '`')
                Append(script[++at]);
            else
                Append(script[at]);
        }
    }

    void Substitute(bool quoted)
    {
        var braced = at + 1 < script.Length && script[at + 1] == '{';
        var start = at + (braced ? 2 : 1);
        var end = start;
        while (end < script.Length && (char.IsAsciiLetterOrDigit(script[end]) || script[end] == '_'))
            end++;
        if (end == start || (braced && (end >= script.Length || script[end] != '}')))
        {
            Append('$');
            return;
        }

        var name = script[start..end];
        var isFirst = values.TrueForAll(value => value.Length == 0) && only is null;
        at = braced ? end : end - 1;
        var value = variable(name) ?? "";
        if (quoted)
        {
            foreach (var c in value)
                Append(c);
        }
        else
        {
            // Unquoted, white space in the value ends one argument and begins another.
            foreach (var (i, part) in value.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries).Index())
            {
                if (i > 0)
                    values.Add(new StringBuilder());
                foreach (var c in part)
                    Append(c);
            }
        }

        begun |= quoted;
        only = isFirst ? name : null;
        splits = isFirst && !quoted;
    }

    void Begin()
    {
        begun = true;
        if (values.Count == 0)
            values.Add(new StringBuilder());
    }

    void Append(char c)
    {
        Begin();
        only = null;
        values[^1].Append(c);
    }

    void End()
    {
        if (begun || only is not null)
            commands[^1].Add(new CommandWord([.. values.Select(value => value.ToString())], only, splits));
        values.Clear();
        begun = false;
        only = null;
        splits = false;
    }
}
