using System.Management.Automation;
using System.Management.Automation.Language;
using System.Management.Automation.Runspaces;
using System.Reflection;

namespace HsmRemote.Shell;

/// <summary>Runs a script to its end, and shows what comes out of it.</summary>
internal sealed class ScriptRunner(
    Runspace runspace, ShellUserInterface userInterface, Interruption interruption, OutputFormat format)
{
    // $? alone will not do: it is also false after an error that the script silenced.
    private const string ExitAfterNativeFailure = "\nif (-not $? -and $LASTEXITCODE) { exit 1 }";

    /// <summary>Whether the last script was stopped by an error.</summary>
    public bool HasFailed { get; private set; }

    /// <summary>Runs a command line, which has failed when the native command at its end has.</summary>
    public void RunCommand(string command, PSDataCollection<string>? input)
    {
        var checkedCommand = command + ExitAfterNativeFailure;
        Parser.ParseInput(checkedCommand, out _, out var errors);
        RunText(errors.Length == 0 ? checkedCommand : command, input);
    }

    public void RunText(string script, PSDataCollection<string>? input, bool addToHistory = false) =>
        Run(new Command(script, isScript: true, useLocalScope: false), input, addToHistory);

    public void RunFile(string path, IReadOnlyList<CommandParameter> arguments)
    {
        var text = File.ReadAllText(path);
        // As in pwsh, a script that is named otherwise, with its interpreter in its first line, is run as text.
        var isCommand = Path.GetExtension(path).Equals(".ps1", StringComparison.OrdinalIgnoreCase);
        var command = isCommand
            ? new Command(path, isScript: false, useLocalScope: false)
            : new Command(text, isScript: true, useLocalScope: false);
        if (isCommand)
            LetExitLeaveScriptFile();
        foreach (var argument in arguments)
            command.Parameters.Add(argument);
        Run(command, StandardInput.LinesFor(text), addToHistory: false);
    }

    // 'exit N' in a script file ends that file only, unless the engine is told that the file is all there is to run.
    // pwsh tells it by this property, which is not public; the engine here is the one that this program ships with.
    private void LetExitLeaveScriptFile()
    {
        var context = typeof(Runspace)
            .GetProperty("ExecutionContext", BindingFlags.Instance | BindingFlags.NonPublic)!.GetValue(runspace)!;
        context.GetType()
            .GetProperty("ScriptCommandProcessorShouldRethrowExit", BindingFlags.Instance | BindingFlags.NonPublic)!
            .SetValue(context, value: true);
    }

    private void Run(Command command, PSDataCollection<string>? input, bool addToHistory)
    {
        HasFailed = false;
        using var pipeline = CreatePipeline();
        pipeline.Commands.AddCommand(command);
        using var watch = interruption.Watch(pipeline);
        try
        {
            var settings = new PSInvocationSettings { AddToHistory = addToHistory };
            if (format == OutputFormat.Json)
                InvokeToJson(pipeline, input, settings);
            else
                InvokeToText(pipeline, input, settings);
        }
        catch (PipelineStoppedException)
        {
            HasFailed = true;
        }
        catch (Exception exception)
        {
            HasFailed = true;
            Show(RecordOf(exception));
        }
        finally
        {
            // Of a command that was stopped, which takes nothing away.
            userInterface.ClearProgress();
        }
    }

    // The record of a text that ends too early has no position, and is shown with no message for want of it.
    private static ErrorRecord RecordOf(Exception exception) => exception switch
    {
        IncompleteParseException => new ErrorRecord(
            new InvalidOperationException(exception.Message), "IncompleteInput", ErrorCategory.ParserError, targetObject: null),
        IContainsErrorRecord { ErrorRecord: var record } => record,
        _ => new ErrorRecord(exception, "ScriptFailed", ErrorCategory.OperationStopped, targetObject: null),
    };

    private static void InvokeToText(PowerShell pipeline, PSDataCollection<string>? input, PSInvocationSettings settings)
    {
        pipeline.Commands.Commands[0].MergeMyResults(PipelineResultTypes.Error, PipelineResultTypes.Output);
        pipeline.AddCommand("Out-Default");
        using var nothing = new PSDataCollection<PSObject>();
        pipeline.Invoke(input, nothing, settings);
    }

    private void InvokeToJson(PowerShell pipeline, PSDataCollection<string>? input, PSInvocationSettings settings)
    {
        using var json = new JsonOutput(Console.OpenStandardOutput());
        using var output = new PSDataCollection<PSObject>();
        output.DataAdded += (_, _) => WriteAll(output.ReadAll(), json.Write);
        pipeline.Streams.Error.DataAdded += (_, _) => WriteAll(pipeline.Streams.Error.ReadAll(), Show);
        pipeline.Invoke(input, output, settings);
    }

    private static void WriteAll<T>(IEnumerable<T> items, Action<T> write)
    {
        foreach (var item in items)
            write(item);
    }

    // To the engine's formatting a record that comes from outside a pipeline is an object like any other.
    private void Show(ErrorRecord error)
    {
        using var pipeline = CreatePipeline();
        pipeline.AddCommand("Out-Default").AddParameter("InputObject", error);
        userInterface.RenderError(() => pipeline.Invoke());
    }

    private PowerShell CreatePipeline() => runspace.RunspaceAvailability == RunspaceAvailability.Available
        ? PowerShell.Create(runspace)
        : PowerShell.Create(RunspaceMode.CurrentRunspace);
}
