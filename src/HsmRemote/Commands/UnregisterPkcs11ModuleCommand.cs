using System.Management.Automation;
using HsmRemote.Completers;

namespace HsmRemote.Commands;

/// <summary>Removes a PKCS #11 module from p11-kit's configuration; never one that a package brought.</summary>
[Cmdlet(VerbsLifecycle.Unregister, "Pkcs11Module", SupportsShouldProcess = true, ConfirmImpact = ConfirmImpact.Medium)]
[OutputType(typeof(P11ChangeResult))]
public sealed class UnregisterPkcs11ModuleCommand : ModuleChangeCommand
{
    /// <summary>The modules' names. One that is not there is no error: there is nothing to do.</summary>
    [Parameter(Mandatory = true, Position = 0, ValueFromPipelineByPropertyName = true)]
    [ArgumentCompleter(typeof(ModuleNameCompleter))]
    [ValidateNotNullOrEmpty]
    public string[] Name { get; set; } = [];

    /// <inheritdoc/>
    protected override void ProcessRecord()
    {
        foreach (var name in Name)
        {
            Attempt(() => Carry(
                (reporter, cancellation) => Services.Modules.PlanUnregisterAsync(name, ScopeOrOwn, reporter, cancellation),
                $"Unregister the module '{name}'"));
        }
    }
}
