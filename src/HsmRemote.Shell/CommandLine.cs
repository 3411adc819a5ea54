using System.Management.Automation.Runspaces;

namespace HsmRemote.Shell;

internal enum ScriptSource
{
    Command,
    File,
    StandardInput,
}

internal enum OutputFormat
{
    Text,
    Json,
}

/// <summary>What the command line asks for.</summary>
/// <remarks>
/// Parsed by hand: pwsh's single-dash, case-insensitive, abbreviated options, and a -Command and -File that swallow the
/// rest of the line, are outside what System.CommandLine can express.
/// </remarks>
internal sealed class CommandLine
{
    public const string Usage = """
        Usage: hsmremote [options] [-File SCRIPT [arguments] | -Command TEXT]

        Runs PowerShell with the HsmRemote module imported. With neither a script nor a command, the script is read
        from standard input, or from a prompt when standard input is a terminal.

          -Command, -c TEXT         run TEXT, the rest of the line; '-' reads standard input
          -File, -f SCRIPT          run SCRIPT with the rest of the line as its arguments; '-' reads standard input
          -OutputFormat Text|Json   show objects as text, or write them as one JSON array
          -NonInteractive           never ask; what would ask fails instead
          -NoModule                 do not import the HsmRemote module
          -WorkingDirectory, -wd D  start in directory D
          -NoLogo                   no greeting at the prompt
          -Version, -Help

        -NoProfile, -ExecutionPolicy and -InputFormat are accepted, as pwsh has them, and change nothing: no profile is
        ever loaded. Exit code: 0; 1 after an error; N after 'exit N'; 64 for a wrong command line; 130 after Ctrl-C.
        """;

    // The full name, and the shortest abbreviation or the alias that pwsh accepts.
    private static readonly (string Name, string Shortest, string? Alias)[] _options =
    [
        ("command", "c", null),
        ("executionpolicy", "ex", "ep"),
        ("file", "f", null),
        ("help", "h", "?"),
        ("inputformat", "in", "if"),
        ("nologo", "nol", null),
        ("nomodule", "nom", null),
        ("noninteractive", "noni", null),
        ("noprofile", "nop", null),
        ("outputformat", "o", "of"),
        ("version", "v", null),
        ("workingdirectory", "wo", "wd"),
    ];

    /// <summary>Where the script comes from; null when nothing on the command line says so.</summary>
    public ScriptSource? Source { get; private set; }

    /// <summary>The text of -Command, or the path of -File.</summary>
    public string Script { get; private set; } = "";

    public IReadOnlyList<CommandParameter> Arguments { get; private set; } = [];

    public OutputFormat OutputFormat { get; private set; }

    public string? WorkingDirectory { get; private set; }

    public bool NonInteractive { get; private set; }

    public bool NoModule { get; private set; }

    public bool NoLogo { get; private set; }

    public bool ShowVersion { get; private set; }

    public bool ShowHelp { get; private set; }

    /// <summary>What is wrong with the command line.</summary>
    public string? Error { get; private set; }

    public static CommandLine Parse(IReadOnlyList<string> arguments)
    {
        var line = new CommandLine();
        var rest = new Queue<string>(arguments);
        while (line.Error is null && line.Source is null && rest.TryDequeue(out var argument))
            line.Take(argument, rest);
        return line;
    }

    private void Take(string argument, Queue<string> rest)
    {
        if (argument.Length < 2 || argument[0] != '-')
        {
            TakeFile(argument, rest);
            return;
        }

        switch (OptionNamed(argument.TrimStart('-')))
        {
            case "command":
                TakeCommand(argument, rest);
                break;
            case "file":
                if (RequireValue(argument, rest, "the path of a script") is { } path)
                    TakeFile(path, rest);
                break;
            case "outputformat":
                TakeOutputFormat(argument, rest);
                break;
            case "workingdirectory":
                WorkingDirectory = RequireValue(argument, rest, "a directory");
                break;
            case "executionpolicy" or "inputformat":
                RequireValue(argument, rest, "a value");
                break;
            case "noninteractive":
                NonInteractive = true;
                break;
            case "nomodule":
                NoModule = true;
                break;
            case "nologo":
                NoLogo = true;
                break;
            case "noprofile":
                break;
            case "version":
                ShowVersion = true;
                break;
            case "help":
                ShowHelp = true;
                break;
            default:
                Error = $"Unknown option '{argument}'.";
                break;
        }
    }

    private static string? OptionNamed(string name)
    {
        foreach (var (option, shortest, alias) in _options)
        {
            var isAbbreviation = option.StartsWith(name, StringComparison.OrdinalIgnoreCase)
                && name.StartsWith(shortest, StringComparison.OrdinalIgnoreCase);
            if (isAbbreviation || name.Equals(alias, StringComparison.OrdinalIgnoreCase))
                return option;
        }

        return null;
    }

    private void TakeCommand(string option, Queue<string> rest)
    {
        if (rest.Count == 0)
        {
            Error = $"{option} needs a command.";
            return;
        }

        Script = string.Join(' ', rest);
        Source = Script is "-" ? ScriptSource.StandardInput : ScriptSource.Command;
    }

    private void TakeFile(string path, Queue<string> rest)
    {
        Script = path;
        Source = path is "-" ? ScriptSource.StandardInput : ScriptSource.File;
        Arguments = ScriptArguments(rest);
    }

    private void TakeOutputFormat(string option, Queue<string> rest)
    {
        if (RequireValue(option, rest, "Text or Json") is not { } value)
            return;
        if (value.Equals(nameof(OutputFormat.Json), StringComparison.OrdinalIgnoreCase))
            OutputFormat = OutputFormat.Json;
        else if (value.Equals(nameof(OutputFormat.Text), StringComparison.OrdinalIgnoreCase))
            OutputFormat = OutputFormat.Text;
        else
            Error = $"{option} is Text or Json, not '{value}'.";
    }

    private string? RequireValue(string option, Queue<string> rest, string what)
    {
        if (rest.TryDequeue(out var value))
            return value;
        Error = $"{option} needs {what}.";
        return null;
    }

    // The engine's binder takes '-Name' and its value apart, as it would in '& script.ps1 -Name value'; only the colon
    // forms, '-Name:value' and '-Name: value', are for the caller to split, and only there are $true and $false values.
    private static List<CommandParameter> ScriptArguments(Queue<string> rest)
    {
        var parameters = new List<CommandParameter>();
        while (rest.TryDequeue(out var argument))
        {
            if (argument.Length < 2 || argument[0] != '-' || !(char.IsLetter(argument[1]) || argument[1] is '_' or '?'))
            {
                parameters.Add(new CommandParameter(name: null, argument));
                continue;
            }

            var colon = argument.IndexOf(':', StringComparison.Ordinal);
            if (colon < 0)
                parameters.Add(new CommandParameter(argument));
            else if (colon < argument.Length - 1)
                parameters.Add(new CommandParameter(argument[..colon], SwitchValue(argument[(colon + 1)..])));
            else if (rest.TryDequeue(out var value))
                parameters.Add(new CommandParameter(argument[..colon], value));
            else
                parameters.Add(new CommandParameter(argument[..colon]));
        }

        return parameters;
    }

    private static object SwitchValue(string value) =>
        bool.TryParse(value.StartsWith('$') ? value[1..] : value, out var isOn) ? isOn : value;
}
