using System.Collections.ObjectModel;
using System.Management.Automation;
using System.Management.Automation.Host;
using System.Security;

namespace HsmRemote.Shell;

/// <summary>Results to standard output, everything said about them to standard error, questions to the terminal.</summary>
internal sealed class ShellUserInterface(Terminal terminal, Diagnostics diagnostics, Questioner questioner, bool outputIsData)
    : PSHostUserInterface, IHostUISupportsMultipleChoiceSelection
{
    private const int ProgressIntervalMilliseconds = 100;

    private long _lastProgress;
    private bool _isRenderingError;

    /// <summary>Whether an error was shown; one that the script caught or silenced never gets here.</summary>
    public bool HasShownError { get; private set; }

    public override PSHostRawUserInterface RawUI { get; } = new ShellRawUserInterface(terminal);

    public override bool SupportsVirtualTerminal => outputIsData || _isRenderingError ? terminal.ColoursError : terminal.ColoursOutput;

    private static PSStyle.FormattingData Colours => PSStyle.Instance.Formatting;

    public void ClearProgress() => diagnostics.ClearProgress();

    /// <summary>Takes all that the action writes for an error's text.</summary>
    public void RenderError(Action render)
    {
        HasShownError = true;
        _isRenderingError = true;
        try
        {
            render();
        }
        finally
        {
            _isRenderingError = false;
        }
    }

    public override void Write(string value)
    {
        if (outputIsData || _isRenderingError)
        {
            diagnostics.Write(value);
            return;
        }

        diagnostics.ClearProgress();
        Console.Out.Write(terminal.ColoursOutput ? value : Terminal.WithoutEscapes(value));
    }

    public override void Write(ConsoleColor foregroundColor, ConsoleColor backgroundColor, string value) =>
        Write(InColour(foregroundColor, backgroundColor, value));

    public override void WriteLine(string value)
    {
        if (_isRenderingError)
            WriteErrorLine(value);
        else
            Write(value + "\n");
    }

    public override void WriteLine() => Write("\n");

    public override void WriteLine(ConsoleColor foregroundColor, ConsoleColor backgroundColor, string value) =>
        WriteLine(InColour(foregroundColor, backgroundColor, value));

    public override void WriteErrorLine(string value)
    {
        HasShownError = true;
        diagnostics.WriteLine(Colours.Error, value);
    }

    public override void WriteWarningLine(string message) => diagnostics.WriteLine(Colours.Warning, "WARNING: " + message);

    public override void WriteVerboseLine(string message) => diagnostics.WriteLine(Colours.Verbose, "VERBOSE: " + message);

    public override void WriteDebugLine(string message) => diagnostics.WriteLine(Colours.Debug, "DEBUG: " + message);

    public override void WriteProgress(long sourceId, ProgressRecord record)
    {
        if (record.RecordType == ProgressRecordType.Completed)
        {
            diagnostics.ClearProgress();
            return;
        }

        var now = Environment.TickCount64;
        if (now - _lastProgress < ProgressIntervalMilliseconds)
            return;
        _lastProgress = now;
        var percent = record.PercentComplete >= 0 ? $" {record.PercentComplete}%" : "";
        diagnostics.ShowProgress($"{record.Activity}: {record.StatusDescription}{percent} {record.CurrentOperation}".TrimEnd());
    }

    public override string ReadLine() => questioner.ReadLine();

    public override SecureString ReadLineAsSecureString() => questioner.ReadSecret(prompt: "");

    public override Dictionary<string, PSObject> Prompt(
        string caption, string message, Collection<FieldDescription> descriptions) =>
        questioner.AskFields(caption, message, descriptions);

    public override int PromptForChoice(
        string caption, string message, Collection<ChoiceDescription> choices, int defaultChoice) =>
        questioner.AskChoice(caption, message, choices, defaultChoice);

    public Collection<int> PromptForChoice(
        string? caption, string? message, Collection<ChoiceDescription> choices, IEnumerable<int>? defaultChoices) =>
        questioner.AskChoices(caption, message, choices, [.. defaultChoices ?? []]);

    public override PSCredential PromptForCredential(string caption, string message, string userName, string targetName) =>
        questioner.AskCredential(caption, message, userName, targetName);

    public override PSCredential PromptForCredential(
        string caption, string message, string userName, string targetName,
        PSCredentialTypes allowedCredentialTypes, PSCredentialUIOptions options) =>
        questioner.AskCredential(caption, message, userName, targetName);

    private string InColour(ConsoleColor foreground, ConsoleColor background, string value) =>
        SupportsVirtualTerminal
            ? $"{PSStyle.MapForegroundColorToEscapeSequence(foreground)}{PSStyle.MapBackgroundColorToEscapeSequence(background)}{value}{PSStyle.Instance.Reset}"
            : value;
}
