using System.Management.Automation;
using System.Management.Automation.Internal;
using System.Management.Automation.Runspaces;
using Microsoft.PowerShell.Commands;

namespace HsmRemote.Shell;

/// <summary>One run of the program: the engine with the module in it, and what it was asked to run.</summary>
internal sealed class Session
{
    private const int Failed = 1;

    private readonly CommandLine _commandLine;
    private readonly Terminal _terminal = new();
    private readonly bool _isInteractive;

    public Session(CommandLine commandLine)
    {
        _commandLine = commandLine;
        _isInteractive = commandLine.Source is null && _terminal.HasInput && !commandLine.NonInteractive;
    }

    public int Run()
    {
        using var interruption = new Interruption(_isInteractive);
        var diagnostics = new Diagnostics(_terminal);
        var questioner = new Questioner(_terminal, _commandLine.NonInteractive, interruption);
        var userInterface = new ShellUserInterface(
            _terminal, diagnostics, questioner, outputIsData: _commandLine.OutputFormat == OutputFormat.Json);
        var host = new ShellHost(userInterface);
        PSStyle.Instance.OutputRendering = _terminal.ColoursOutput ? OutputRendering.Host : OutputRendering.PlainText;
        if (_commandLine.OutputFormat == OutputFormat.Text)
            ThreadPool.UnsafeQueueUserWorkItem(static _ => PrepareTables(), state: null);
        try
        {
            using var runspace = OpenRunspace(host);
            var runner = new ScriptRunner(runspace, userInterface, interruption, _commandLine.OutputFormat);
            if (_isInteractive)
            {
                Greet();
                new ReadEvaluatePrintLoop(runspace, host, runner, interruption, _terminal).Run();
                return interruption.IsFinal ? interruption.ExitCode!.Value : host.ExitCode ?? 0;
            }

            RunScript(runner);
            var hasFailed = runner.HasFailed || userInterface.HasShownError;
            return interruption.ExitCode ?? host.ExitCode ?? (hasFailed ? Failed : 0);
        }
        catch (StartException exception)
        {
            userInterface.WriteErrorLine("hsmremote: " + exception.Message);
            return Failed;
        }
    }

    // Every table has escape sequences in its header and properties in its columns. The engine compiles an expression for the
    // ones, and what compiles expressions for the others: here, while the runspace opens, so that nobody waits for it.
    private static void PrepareTables()
    {
        new StringDecorated("\e[0m").ToString(OutputRendering.PlainText);
        new PSPropertyExpression(nameof(Version.Major)).GetValues(new PSObject(new Version()));
    }

    private Runspace OpenRunspace(ShellHost host)
    {
        var state = InitialSessionState.CreateDefault2();
        EngineFormat.AddTo(state);
        if (!_commandLine.NoModule)
        {
            if (!File.Exists(ModuleLocation.Manifest))
            {
                throw new StartException(
                    $"The HsmRemote module {ShellVersion.Number} is missing: there is no {ModuleLocation.Manifest}. "
                    + "Install it there, or use -NoModule to go without it.");
            }

            state.ImportPSModule(ModuleLocation.Manifest);
            state.ThrowOnRunspaceOpenError = true;
        }

        var runspace = RunspaceFactory.CreateRunspace(host, state);
        // Scripts run on the thread that waits for them, which spares starting another.
        runspace.ThreadOptions = PSThreadOptions.UseCurrentThread;
        try
        {
            runspace.Open();
        }
        catch (RuntimeException exception)
        {
            // The message of the exception itself says little but to look at its records.
            var reason = exception is RunspaceOpenModuleLoadException { ErrorRecords: [var first, ..] }
                ? first.Exception.Message
                : exception.Message;
            throw new StartException($"The HsmRemote module does not load: {reason}", exception);
        }

        Runspace.DefaultRunspace = runspace;
        OfferModules();
        return runspace;
    }

    // Opening the runspace has put its own directories into the variable, ahead of whatever was there.
    private static void OfferModules()
    {
        const string variable = "PSModulePath";
        var others = Environment.GetEnvironmentVariable(variable)!.Split(Path.PathSeparator).Except([ModuleLocation.Root], StringComparer.Ordinal);
        Environment.SetEnvironmentVariable(variable, string.Join(Path.PathSeparator, [ModuleLocation.Root, .. others]));
    }

    private void Greet()
    {
        if (_commandLine.NoLogo)
            return;
        var engine = typeof(PSObject).Assembly.GetName().Version!;
        _terminal.Screen.WriteLine($"HsmRemote {ShellVersion.Number} on PowerShell {engine.ToString(2)}");
    }

    private void RunScript(ScriptRunner runner)
    {
        switch (_commandLine.Source)
        {
            case ScriptSource.Command:
                runner.RunCommand(_commandLine.Script, StandardInput.LinesFor(_commandLine.Script));
                break;
            case ScriptSource.File:
                var path = Path.GetFullPath(_commandLine.Script);
                if (!File.Exists(path))
                    throw new StartException($"There is no script '{_commandLine.Script}'.");
                runner.RunFile(path, _commandLine.Arguments);
                break;
            default:
                runner.RunCommand(StandardInput.ReadScript(), input: null);
                break;
        }
    }
}
