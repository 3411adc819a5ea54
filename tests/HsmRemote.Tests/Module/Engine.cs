using System.Diagnostics;
using System.Management.Automation;
using System.Management.Automation.Runspaces;
using HsmRemote.Tests.Module;

[assembly: AssemblyFixture(typeof(Engine))]

namespace HsmRemote.Tests.Module;

/// <summary>The real engine with the published module in it.</summary>
public sealed class Engine : IDisposable
{
    readonly Runspace runspace = RunspaceFactory.CreateRunspace(InitialSessionState.CreateDefault2());
    readonly Lock oneAtATime = new();

    public Engine()
    {
        runspace.Open();
        Run($"Import-Module '{Checkout.Manifest}'").Check();
    }

    public void Dispose() => runspace.Dispose();

    internal EngineResult Run(string script)
    {
        lock (oneAtATime)
        {
            using var shell = PowerShell.Create(runspace);
            List<ErrorRecord> errors = [];
            List<PSObject> output = [];
            try
            {
                output.AddRange(shell.AddScript(script).Invoke());
            }
            catch (RuntimeException e)
            {
                errors.Add(e.ErrorRecord);
            }

            errors.AddRange(shell.Streams.Error);
            return new EngineResult(output, errors, [.. shell.Streams.Warning.Select(w => w.Message)])
            {
                Verbose = [.. shell.Streams.Verbose.Select(v => v.Message)],
                Progress = [.. shell.Streams.Progress],
            };
        }
    }

    /// <summary>Starts a script, and stops it as Ctrl-C does when the moment has come: the script's first warning, unless another is given.</summary>
    /// <returns>How long the stop took.</returns>
    internal TimeSpan RunAndStop(string script, Task? moment = null)
    {
        lock (oneAtATime)
        {
            using var shell = PowerShell.Create(runspace);
            var warned = new TaskCompletionSource();
            shell.Streams.Warning.DataAdded += (_, _) => warned.TrySetResult();
            shell.AddScript(script).BeginInvoke();
            Assert.True((moment ?? warned.Task).Wait(TimeSpan.FromMinutes(1)));
            var started = Stopwatch.GetTimestamp();
            Assert.True(shell.BeginStop(callback: null, state: null).AsyncWaitHandle.WaitOne(TimeSpan.FromMinutes(1)));
            Assert.Equal(PSInvocationState.Stopped, shell.InvocationStateInfo.State);
            return Stopwatch.GetElapsedTime(started);
        }
    }

    /// <summary>What TAB offers at the end of a line, once it offers something: on a busy machine that takes more than one TAB.</summary>
    internal IReadOnlyList<string> CompleteAtLast(string line, string preparation = "")
    {
        var started = Stopwatch.GetTimestamp();
        // Nobody else's session in between: what is looked for meanwhile is looked for with this one.
        lock (oneAtATime)
        {
            while (true)
            {
                var pressed = Stopwatch.GetTimestamp();
                var offered = Complete(line, preparation);
                // Later than that, a look may still be under way, which would set this session's environment beside the next test.
                var isAtRest = Stopwatch.GetElapsedTime(pressed) < TimeSpan.FromMilliseconds(80) || Stopwatch.GetElapsedTime(started) > TimeSpan.FromSeconds(10);
                if ((offered.Count > 0 && isAtRest) || Stopwatch.GetElapsedTime(started) > TimeSpan.FromMinutes(1))
                    return offered;
                Thread.Sleep(TimeSpan.FromMilliseconds(50));
            }
        }
    }

    /// <summary>What TAB offers at the end of a line, in a session that a script has prepared.</summary>
    internal IReadOnlyList<string> Complete(string line, string preparation = "")
    {
        lock (oneAtATime)
        {
            using var shell = PowerShell.Create(runspace);
            shell.AddScript(preparation).Invoke();
            shell.Commands.Clear();
            return [.. CommandCompletion.CompleteInput(line, line.Length, null, shell).CompletionMatches.Select(m => m.CompletionText)];
        }
    }
}

/// <summary>What a script did.</summary>
sealed record EngineResult(IReadOnlyList<PSObject> Output, IReadOnlyList<ErrorRecord> Errors, IReadOnlyList<string> Warnings)
{
    internal IReadOnlyList<string> Verbose { get; init; } = [];

    internal IReadOnlyList<ProgressRecord> Progress { get; init; } = [];

    internal IReadOnlyList<PSObject> Check()
    {
        Assert.Empty(Errors);
        return Output;
    }

    /// <summary>The one error that it ended with.</summary>
    internal ErrorRecord Error => Assert.Single(Errors);
}
