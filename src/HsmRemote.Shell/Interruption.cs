using System.Management.Automation;
using System.Runtime.InteropServices;

namespace HsmRemote.Shell;

/// <summary>Turns Ctrl-C and SIGTERM into a stopped pipeline, and into an end of the process when it does not stop.</summary>
internal sealed class Interruption : IDisposable
{
    private const int InterruptedExitCode = 130;
    private const int TerminatedExitCode = 143;

    private static readonly TimeSpan _patience = TimeSpan.FromMilliseconds(800);

    // At a prompt it is the session that would be lost; a second Ctrl-C ends it at once.
    private static readonly TimeSpan _interactivePatience = TimeSpan.FromSeconds(10);

    private readonly Lock _lock = new();
    private readonly bool _isInteractive;
    private readonly PosixSignalRegistration _interrupt;
    private readonly PosixSignalRegistration _terminate;
    private readonly Stack<PowerShell> _running = new();
    private Timer? _deadline;

    public Interruption(bool isInteractive)
    {
        _isInteractive = isInteractive;
        _interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, context => Stop(context, InterruptedExitCode));
        _terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, context => Stop(context, TerminatedExitCode));
    }

    /// <summary>130 or 143 once a signal has asked to stop.</summary>
    public int? ExitCode { get; private set; }

    /// <summary>Whether the process was asked to end, not only the pipeline.</summary>
    public bool IsFinal => ExitCode is { } code && (!_isInteractive || code == TerminatedExitCode);

    /// <summary>Makes the pipeline the one that a signal stops, until the scope ends.</summary>
    public IDisposable Watch(PowerShell pipeline)
    {
        lock (_lock)
        {
            _running.Push(pipeline);
            if (!IsFinal)
                ExitCode = null;
        }

        return new Scope(this);
    }

    /// <summary>Ctrl-C that a prompt read as a key.</summary>
    public void RequestFromKeyboard() => ExitCode = InterruptedExitCode;

    public void Dispose()
    {
        _interrupt.Dispose();
        _terminate.Dispose();
        _deadline?.Dispose();
    }

    private void Stop(PosixSignalContext context, int exitCode)
    {
        context.Cancel = true;
        lock (_lock)
        {
            var isRepeated = _deadline is not null;
            var isIdle = _running.Count == 0;
            if (isIdle && _isInteractive && exitCode == InterruptedExitCode)
                return;
            ExitCode = exitCode;
            if (isIdle || isRepeated)
                Leave();
            _deadline = new Timer(static self => ((Interruption)self!).LeaveUnlessStopped(), this, _isInteractive && exitCode == InterruptedExitCode ? _interactivePatience : _patience, Timeout.InfiniteTimeSpan);
            _running.Peek().BeginStop(callback: null, state: null);
        }
    }

    // On a busy machine the timer's turn may come when the pipeline has stopped after all.
    private void LeaveUnlessStopped()
    {
        lock (_lock)
        {
            if (_deadline is null)
                return;
            // A command that undoes what it has changed: HsmRemoteCommand.cs. A second signal ends it at once.
            if (AppContext.GetData("HsmRemote.Finishing") is true)
            {
                _ = _deadline.Change(_patience, Timeout.InfiniteTimeSpan);
                return;
            }
        }

        Leave();
    }

    // The runtime gives the terminal back as it found it when the process exits, whatever its threads are stuck in.
    private void Leave() => Environment.Exit(ExitCode ?? InterruptedExitCode);

    private void EndWatch()
    {
        lock (_lock)
        {
            _running.Pop();
            _deadline?.Dispose();
            _deadline = null;
        }
    }

    private sealed class Scope(Interruption owner) : IDisposable
    {
        public void Dispose() => owner.EndWatch();
    }
}
