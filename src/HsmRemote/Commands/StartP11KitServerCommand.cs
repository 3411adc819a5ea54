using System.Management.Automation;

namespace HsmRemote.Commands;

/// <summary>Starts instances, so that they accept connections.</summary>
[Cmdlet(VerbsLifecycle.Start, "P11KitServer", SupportsShouldProcess = true, ConfirmImpact = ConfirmImpact.Medium)]
[OutputType(typeof(P11ChangeResult))]
public sealed class StartP11KitServerCommand : RunServerCommand
{
    private protected override string Verb => "Start";

    private protected override IChangePlan Plan(string name, IReporter reporter, P11KitServerScope? scope) => Services.Servers.PlanStart(name, reporter, scope);
}
