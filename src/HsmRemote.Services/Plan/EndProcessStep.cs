using HsmRemote.Services.Native;

namespace HsmRemote.Services.Plan;

/// <summary>A process ends: asked to, and after a while made to. There is no way back for it.</summary>
sealed class EndProcessStep(int process, ulong startTicks, string description)
    : PlanStep(new PlannedChange(ChangeKind.EndProcess, $"{process}", description))
{
    static readonly TimeSpan Patience = TimeSpan.FromSeconds(2);

    internal override Task ApplyAsync(CancellationToken cancellationToken)
    {
        // It may have ended since, and its number may be another's.
        using var handle = ProcessHandle.TryOpen(process, startTicks);
        if (handle is null)
            return Task.CompletedTask;
        foreach (var signal in new[] { ProcessHandle.Terminate, ProcessHandle.Kill })
        {
            if (handle.Signal(signal) is not (0 or Errno.ESRCH) and var errno)
                throw new InvalidOperationException($"signal {signal} to process {process}: {System.Runtime.InteropServices.Marshal.GetPInvokeErrorMessage(errno)}");
            if (handle.WaitForExit(Patience))
                return Task.CompletedTask;
        }

        throw new InvalidOperationException($"process {process} has not ended after SIGKILL; the kernel or its device holds it");
    }
}
