using HsmRemote.Services.Containers;
using HsmRemote.Services.Plan;

namespace HsmRemote.Services.Forwarding;

/// <summary>What a forward leaves where its socket is made: the directory that it made and, on a far side that has not noticed its end, the socket with its session.</summary>
static class ForwardRemains
{
    /// <summary>The steps that remove it, once the tunnel has ended. A far side that cannot be asked keeps it, with a warning.</summary>
    internal static async Task<IReadOnlyList<PlanStep>> StepsAsync(ForwardSettings forward, IReporter reporter, CancellationToken cancellationToken)
    {
        var directory = Path.GetDirectoryName(forward.MadePath)!;
        if (forward.Direction == P11ForwardDirection.Pull)
        {
            // systemd has its own with the unit.
            return forward.MakesDirectory && !string.Equals(directory, forward.Layout.StateDirectory, StringComparison.Ordinal) ? [new RemoveDirectoryStep(directory)] : [];
        }

        try
        {
            using var reach = await ForwardReach.OpenAsync(forward, null, cancellationToken);
            var end = await new FarSide(reach.Forward).LookAsync(cancellationToken);
            return forward.MakesDirectory || end.HasSession || end.Path is "stale" ? [new LeaveFarSideStep(forward)] : [];
        }
        catch (HsmRemoteException e)
        {
            reporter.Warning(
                $"{e.Failure} So it is not known whether {forward.MadePath} is still listened on there{(forward.MakesDirectory ? $", and the directory {directory} stays" : "")}. "
                + $"To clear it once {forward.HostName} can be reached: `{forward.SshByHand()} {ShellWord.Quote(Clear(forward))}`.");
            return [];
        }
    }

    /// <summary>What ends the session by hand, where there are no scripts of the forward any more: sshd holds the socket, above the shell that has the id.</summary>
    static string Clear(ForwardSettings forward) =>
        // In brackets, the id is not in the command line of the shell that looks for it.
        $"pgrep -f \"[{forward.Id[0]}]{forward.Id[1..]}\" | xargs -r ps -o ppid= | xargs -r kill; rm -f {forward.MadePath}"
        + (forward.MakesDirectory ? $"; rmdir {Path.GetDirectoryName(forward.MadePath)}" : "");
}
