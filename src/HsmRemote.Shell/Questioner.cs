using System.Collections;
using System.Collections.ObjectModel;
using System.Globalization;
using System.Management.Automation;
using System.Management.Automation.Host;
using System.Security;

namespace HsmRemote.Shell;

/// <summary>Asks at the terminal what the engine and the cmdlets want to know; without one, says so.</summary>
internal sealed class Questioner(Terminal terminal, bool isNonInteractive, Interruption interruption)
{
    private readonly LineEditor _editor = new(terminal);

    public string ReadLine()
    {
        RequireTerminal("read a line");
        return ReadAnswer(prompt: "");
    }

    public SecureString ReadSecret(string prompt)
    {
        RequireTerminal(prompt.Length > 0 ? $"ask for '{prompt.TrimEnd(' ', ':')}'" : "ask for a secret");
        // Before the question: who types ahead of the change would see it echoed.
        using var keys = Terminal.ControlCAsKey();
        terminal.Screen.Write(prompt);
        var secret = new SecureString();
        while (true)
        {
            var key = Console.ReadKey(intercept: true);
            var isControl = key.Modifiers.HasFlag(ConsoleModifiers.Control);
            if (key.Key == ConsoleKey.Enter)
                break;
            if (isControl && key.Key is ConsoleKey.C or ConsoleKey.D)
            {
                secret.Dispose();
                throw Cancelled();
            }

            if (key.Key == ConsoleKey.Backspace)
                RemoveLast(secret);
            else if (isControl && key.Key == ConsoleKey.U)
                RemoveAll(secret);
            else if (!char.IsControl(key.KeyChar))
                Append(secret, key.KeyChar);
        }

        terminal.Screen.WriteLine();
        secret.MakeReadOnly();
        return secret;
    }

    public Dictionary<string, PSObject> AskFields(
        string? caption, string? message, Collection<FieldDescription> descriptions)
    {
        var names = string.Join(", ", descriptions.Select(static field => field.Name));
        RequireTerminal($"ask for {names}");
        Introduce(caption, message);
        var answers = new Dictionary<string, PSObject>(StringComparer.OrdinalIgnoreCase);
        foreach (var field in descriptions)
        {
            if (!string.IsNullOrEmpty(field.HelpMessage))
                terminal.Screen.WriteLine(field.HelpMessage);
            answers[field.Name] = PSObject.AsPSObject(AskField(field));
        }

        return answers;
    }

    public int AskChoice(string? caption, string? message, Collection<ChoiceDescription> choices, int defaultChoice)
    {
        RequireTerminal(Question(caption, message));
        Introduce(caption, message);
        int[] defaults = defaultChoice >= 0 ? [defaultChoice] : [];
        while (true)
        {
            var answer = ReadAnswer(ChoicePrompt(choices, defaults));
            if (answer.Length == 0 && defaultChoice >= 0)
                return defaultChoice;
            if (ChoiceNamed(choices, answer) is { } choice)
                return choice;
            ExplainIfAsked(choices, answer);
        }
    }

    public Collection<int> AskChoices(
        string? caption, string? message, Collection<ChoiceDescription> choices, int[] defaultChoices)
    {
        RequireTerminal(Question(caption, message));
        Introduce(caption, message);
        var chosen = new Collection<int>();
        while (true)
        {
            var answer = ReadAnswer(ChoicePrompt(choices, defaultChoices));
            if (answer.Length == 0)
                return chosen.Count > 0 ? chosen : new Collection<int>(defaultChoices);
            if (ChoiceNamed(choices, answer) is { } choice)
                chosen.Add(choice);
            else
                ExplainIfAsked(choices, answer);
        }
    }

    public PSCredential AskCredential(string? caption, string? message, string? userName, string? targetName)
    {
        RequireTerminal($"ask for a credential{(string.IsNullOrEmpty(targetName) ? "" : $" for {targetName}")}");
        Introduce(caption, message);
        var user = string.IsNullOrEmpty(userName) ? ReadAnswer("User: ") : userName;
        return new PSCredential(user, ReadSecret($"Password for {user}: "));
    }

    private object? AskField(FieldDescription field)
    {
        var type = Type.GetType(field.ParameterAssemblyFullName) ?? typeof(string);
        if (!type.IsArray)
            return AskValue($"{field.Name}: ", type);

        var element = type.GetElementType()!;
        var values = new ArrayList();
        while (AskValue($"{field.Name}[{values.Count}]: ", element) is { } value && value is not "")
            values.Add(value);
        return LanguagePrimitives.ConvertTo(values, type, CultureInfo.InvariantCulture);
    }

    private object? AskValue(string prompt, Type type)
    {
        if (type == typeof(SecureString))
            return ReadSecret(prompt);
        if (type == typeof(PSCredential))
            return AskCredential(caption: null, prompt, userName: null, targetName: null);
        while (true)
        {
            var answer = ReadAnswer(prompt);
            if (answer.Length == 0)
                return answer;
            if (LanguagePrimitives.TryConvertTo(answer, type, CultureInfo.InvariantCulture, out var value))
                return value;
            terminal.Screen.WriteLine($"'{answer}' is not a {type.Name}.");
        }
    }

    private string ReadAnswer(string prompt)
    {
        try
        {
            return _editor.ReadLine(prompt) ?? throw Cancelled();
        }
        catch (OperationCanceledException)
        {
            throw Cancelled();
        }
    }

    private PipelineStoppedException Cancelled()
    {
        terminal.Screen.WriteLine();
        interruption.RequestFromKeyboard();
        return new PipelineStoppedException();
    }

    private void RequireTerminal(string purpose)
    {
        if (isNonInteractive || !terminal.HasInput)
        {
            var reason = isNonInteractive ? "-NonInteractive was given" : "standard input is not a terminal";
            throw new HostException(
                $"Cannot {purpose}: {reason}. Give the value as a parameter, or use -Confirm:$false where it is a confirmation.",
                innerException: null,
                "NoTerminalToAsk",
                ErrorCategory.ResourceUnavailable);
        }
    }

    private static string Question(string? caption, string? message)
    {
        var lines = $"{caption}\n{message}".Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        return lines.Length == 0 ? "ask for a choice" : $"ask '{string.Join(' ', lines)}'";
    }

    private void Introduce(string? caption, string? message)
    {
        if (!string.IsNullOrEmpty(caption))
            terminal.Screen.WriteLine(terminal.ColoursError ? $"\e[1m{caption}\e[0m" : caption);
        if (!string.IsNullOrEmpty(message))
            terminal.Screen.WriteLine(message);
    }

    private static string ChoicePrompt(Collection<ChoiceDescription> choices, int[] defaults)
    {
        var offered = choices.Select(static choice => HotKey(choice) is { } key ? $"[{key}] {Name(choice)}" : Name(choice));
        var preset = defaults.Length == 0
            ? ""
            : $" (default is {string.Join(", ", defaults.Select(index => $"\"{HotKey(choices[index])?.ToString() ?? Name(choices[index])}\""))})";
        return $"{string.Join("  ", offered)}  [?] Help{preset}: ";
    }

    private static string Name(ChoiceDescription choice) => choice.Label.Replace("&", "", StringComparison.Ordinal);

    private static char? HotKey(ChoiceDescription choice)
    {
        var mark = choice.Label.IndexOf('&', StringComparison.Ordinal);
        return mark >= 0 && mark + 1 < choice.Label.Length ? char.ToUpperInvariant(choice.Label[mark + 1]) : null;
    }

    private static int? ChoiceNamed(Collection<ChoiceDescription> choices, string answer)
    {
        var text = answer.Trim();
        for (var index = 0; index < choices.Count; index++)
        {
            var isHotKey = text.Length == 1 && char.ToUpperInvariant(text[0]) == HotKey(choices[index]);
            if (isHotKey || text.Equals(Name(choices[index]), StringComparison.OrdinalIgnoreCase))
                return index;
        }

        return null;
    }

    private void ExplainIfAsked(Collection<ChoiceDescription> choices, string answer)
    {
        if (answer.Trim() is not "?")
            return;
        foreach (var choice in choices)
            terminal.Screen.WriteLine($"{HotKey(choice)?.ToString() ?? Name(choice)} - {choice.HelpMessage}");
    }

    private void Append(SecureString secret, char character)
    {
        secret.AppendChar(character);
        terminal.Screen.Write('*');
    }

    private void RemoveLast(SecureString secret)
    {
        if (secret.Length == 0)
            return;
        secret.RemoveAt(secret.Length - 1);
        terminal.Screen.Write("\b \b");
    }

    private void RemoveAll(SecureString secret)
    {
        while (secret.Length > 0)
            RemoveLast(secret);
    }
}
