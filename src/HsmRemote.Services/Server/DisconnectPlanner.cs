using HsmRemote.Services.Native;
using HsmRemote.Services.Plan;
using HsmRemote.Services.Systemd;

namespace HsmRemote.Services.Server;

/// <summary>What ends one connection and no other.</summary>
static class DisconnectPlanner
{
    internal static IChangePlan Plan(ISystemdManager systemd, P11KitConnection connection)
    {
        List<PlanStep> steps = [];
        // The process is the connection: when it is gone, or its number is another's, so is the connection.
        if (ProcessView.StartTicks(connection.ServerProcessId) == connection.ServerStartTicks)
        {
            var who = $"process {connection.ProcessId} of {connection.UserName ?? $"uid {connection.UserId}"}";
            steps.Add(ServerLog.Peer(connection.Unit) is not null
                ? UnitStep.StopConnection(systemd, connection.Unit, who)
                : new EndProcessStep(connection.ServerProcessId, connection.ServerStartTicks, $"End the connection of {who} (process {connection.ServerProcessId})"));
        }

        return new ChangePlan(connection.Name, steps, systemd);
    }
}
