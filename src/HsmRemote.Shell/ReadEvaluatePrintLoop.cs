using System.Management.Automation;
using System.Management.Automation.Language;
using System.Management.Automation.Runspaces;

namespace HsmRemote.Shell;

/// <summary>The prompt.</summary>
internal sealed class ReadEvaluatePrintLoop
{
    private readonly Runspace _runspace;
    private readonly ShellHost _host;
    private readonly ScriptRunner _runner;
    private readonly Interruption _interruption;
    private readonly LineEditor _editor;

    public ReadEvaluatePrintLoop(
        Runspace runspace, ShellHost host, ScriptRunner runner, Interruption interruption, Terminal terminal)
    {
        _runspace = runspace;
        _host = host;
        _runner = runner;
        _interruption = interruption;
        _editor = new LineEditor(terminal) { Complete = Complete, IsIncomplete = IsIncomplete };
        host.OfferNestedPrompt(Run);
    }

    public void Run()
    {
        while (_host.ExitCode is null && !_interruption.IsFinal)
        {
            try
            {
                if (_editor.ReadLine(PromptText()) is not { } text)
                    return;
                _editor.Remember(text);
                _runner.RunText(text, input: null, addToHistory: true);
            }
            catch (OperationCanceledException)
            {
                continue;
            }

            if (_host.NestedPromptLeft)
            {
                _host.NestedPromptLeft = false;
                return;
            }
        }
    }

    private static bool IsIncomplete(string text)
    {
        Parser.ParseInput(text, out _, out var errors);
        return errors.Any(static error => error.IncompleteInput);
    }

    private CommandCompletion? Complete(string text, int cursor)
    {
        using var pipeline = CreatePipeline();
        // While a completer runs, Ctrl-C is a signal again, or one that hangs could not be stopped.
        Console.TreatControlCAsInput = false;
        using var watch = _interruption.Watch(pipeline);
        try
        {
            var found = CommandCompletion.CompleteInput(text, cursor, options: null, pipeline);
            return PathCompletion.Complete(found, text, _runspace.SessionStateProxy.Path.CurrentFileSystemLocation.ProviderPath);
        }
        catch (RuntimeException)
        {
            return null;
        }
        finally
        {
            Console.TreatControlCAsInput = true;
        }
    }

    private string PromptText()
    {
        try
        {
            using var pipeline = CreatePipeline();
            using var watch = _interruption.Watch(pipeline);
            var text = string.Concat(pipeline.AddCommand("prompt").Invoke());
            return text.Length > 0 ? text : DefaultPrompt();
        }
        catch (RuntimeException)
        {
            return DefaultPrompt();
        }
    }

    private string DefaultPrompt() => $"PS {_runspace.SessionStateProxy.Path.CurrentLocation}> ";

    private PowerShell CreatePipeline() => _runspace.RunspaceAvailability == RunspaceAvailability.Available
        ? PowerShell.Create(_runspace)
        : PowerShell.Create(RunspaceMode.CurrentRunspace);
}
