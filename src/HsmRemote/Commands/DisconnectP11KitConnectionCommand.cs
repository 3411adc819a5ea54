using System.Management.Automation;

namespace HsmRemote.Commands;

/// <summary>Ends connections to instances: those that are piped in, and no others.</summary>
[Cmdlet(VerbsCommunications.Disconnect, "P11KitConnection", SupportsShouldProcess = true, ConfirmImpact = ConfirmImpact.Medium)]
[OutputType(typeof(P11ChangeResult))]
public sealed class DisconnectP11KitConnectionCommand : ChangeCommand
{
    /// <summary>The connections, from Get-P11KitConnection. One that has ended is no error: there is nothing to do.</summary>
    [Parameter(Mandatory = true, Position = 0, ValueFromPipeline = true)]
    [ValidateNotNull]
    public P11KitConnection[] Connection { get; set; } = [];

    private protected override bool NeedsRoot => false;

    /// <inheritdoc/>
    protected override void ProcessRecord()
    {
        foreach (var connection in Connection)
        {
            Attempt(() =>
            {
                RequireRights(connection.Name, connection.Scope);
                Carry((_, _) => Task.FromResult(Services.Servers.PlanDisconnect(connection)), $"End the connection of process {connection.ProcessId} to '{connection.Name}'");
            });
        }
    }
}
