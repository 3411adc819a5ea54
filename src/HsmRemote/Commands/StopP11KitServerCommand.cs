using System.Management.Automation;

namespace HsmRemote.Commands;

/// <summary>Stops instances, and ends the connections that are open.</summary>
[Cmdlet(VerbsLifecycle.Stop, "P11KitServer", SupportsShouldProcess = true, ConfirmImpact = ConfirmImpact.Medium)]
[OutputType(typeof(P11ChangeResult))]
public sealed class StopP11KitServerCommand : RunServerCommand
{
    private protected override string Verb => "Stop";

    private protected override IChangePlan Plan(string name, IReporter reporter, P11KitServerScope? scope) => Services.Servers.PlanStop(name, reporter, scope);
}
