using System.Management.Automation;
using HsmRemote.Completers;

namespace HsmRemote.Commands;

/// <summary>Removes an instance that HsmRemote installed, without trace.</summary>
[Cmdlet(VerbsLifecycle.Uninstall, "P11KitServer", SupportsShouldProcess = true, ConfirmImpact = ConfirmImpact.Medium)]
[OutputType(typeof(P11ChangeResult))]
public sealed class UninstallP11KitServerCommand : ChangeCommand
{
    /// <summary>The instances' names. One that is not there is no error: there is nothing to do.</summary>
    [Parameter(Mandatory = true, Position = 0, ValueFromPipelineByPropertyName = true)]
    [ArgumentCompleter(typeof(ServerNameCompleter))]
    [ValidateNotNullOrEmpty]
    public string[] Name { get; set; } = [];

    /// <inheritdoc/>
    protected override void ProcessRecord()
    {
        foreach (var name in Name)
        {
            Attempt(() => Carry(
                name,
                (reporter, _) => Task.FromResult(Services.Servers.PlanUninstall(name, reporter)),
                $"Uninstall the p11-kit server '{name}'"));
        }
    }
}
