using HsmRemote.Services.Plan;
using HsmRemote.Services.Systemd;

namespace HsmRemote.Services.Forwarding;

/// <summary>The tunnel is started, and is there when the socket is.</summary>
sealed class StartForwardStep(ISystemdManager systemd, ForwardSettings forward, string description)
    : PlanStep(new PlannedChange(ChangeKind.StartUnit, forward.Layout.Unit, description))
{
    static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(50);
    // An attempt that nobody answers ends sooner.
    static readonly TimeSpan Limit = TimeSpan.FromSeconds(40);

    internal override bool IsUndoneWhenFailed => true;

    internal override async Task ApplyAsync(CancellationToken cancellationToken)
    {
        systemd.Start(forward.Layout.Unit, cancellationToken);
        var started = TimeProvider.System.GetTimestamp();
        while (ForwardInventory.TunnelState(forward.Layout).GetValueOrDefault("State") is var state and not nameof(P11ForwardState.Connected))
        {
            if (state is nameof(P11ForwardState.Waiting) || TimeProvider.System.GetElapsedTime(started) > Limit)
                throw SshFailure.Of(ForwardInventory.Said(forward.Layout), forward);
            await Task.Delay(Pause, cancellationToken);
        }
    }

    internal override Task UndoAsync()
    {
        systemd.Stop(forward.Layout.Unit, CancellationToken.None);
        return Task.CompletedTask;
    }

    internal override Task SettleAsync()
    {
        systemd.ResetFailed(forward.Layout.Unit);
        return Task.CompletedTask;
    }
}

/// <summary>What a forward left on the far side is removed: its socket and session, and its directory when the forward made it and nothing else is in it.</summary>
sealed class LeaveFarSideStep(ForwardSettings forward)
    : PlanStep(forward.MakesDirectory
        ? new PlannedChange(ChangeKind.RemoveDirectory, Path.GetDirectoryName(forward.RemotePath)!, $"Remove the directory {Path.GetDirectoryName(forward.RemotePath)} on {forward.HostName}")
        : new PlannedChange(ChangeKind.RemoveFile, forward.RemotePath, $"Remove the socket {forward.RemotePath} on {forward.HostName}"))
{
    internal override bool Stays => true;

    internal override async Task ApplyAsync(CancellationToken cancellationToken)
    {
        using var reach = await ForwardReach.OpenAsync(forward, null, cancellationToken);
        await new FarSide(reach.Forward).LeaveAsync(cancellationToken);
    }
}

/// <summary>A program of the system does something that another call of it takes back.</summary>
sealed class CommandStep(PlannedChange change, IReadOnlyList<string> apply, IReadOnlyList<string>? undo = null) : PlanStep(change)
{
    internal override Task ApplyAsync(CancellationToken cancellationToken) => RunAsync(apply, cancellationToken);

    internal override Task UndoAsync() => undo is null ? Task.CompletedTask : RunAsync(undo, CancellationToken.None);

    static async Task RunAsync(IReadOnlyList<string> command, CancellationToken cancellationToken)
    {
        var result = await Native.ChildProcess.RunAsync(command[0], [.. command.Skip(1)], cancellationToken);
        if (result.ExitCode != 0)
            throw new InvalidOperationException($"'{string.Join(' ', command)}' ended with status {result.ExitCode}: {result.Errors.Trim()}");
    }
}
