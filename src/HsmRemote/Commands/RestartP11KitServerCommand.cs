using System.Management.Automation;

namespace HsmRemote.Commands;

/// <summary>Stops instances, ends the connections that are open, and starts them again.</summary>
[Cmdlet(VerbsLifecycle.Restart, "P11KitServer", SupportsShouldProcess = true, ConfirmImpact = ConfirmImpact.Medium)]
[OutputType(typeof(P11ChangeResult))]
public sealed class RestartP11KitServerCommand : RunServerCommand
{
    private protected override string Verb => "Restart";

    private protected override IChangePlan Plan(string name, IReporter reporter, P11KitServerScope? scope) => Services.Servers.PlanRestart(name, reporter, scope);
}
