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

    /// <summary>Whose instance: the machine's, or the caller's own. By default the one that there is.</summary>
    [Parameter(ValueFromPipelineByPropertyName = true)]
    public P11KitServerScope? Scope { get; set; }

    private protected override bool NeedsRoot => false;

    /// <inheritdoc/>
    protected override void ProcessRecord()
    {
        foreach (var name in Name)
        {
            Attempt(() =>
            {
                RequireRights(name, Scope);
                Carry(
                    name,
                    (reporter, _) => Task.FromResult(Services.Servers.PlanUninstall(name, reporter, Scope)),
                    $"Uninstall the p11-kit server '{name}'", Scope);
            });
        }
    }

    private protected override Task<IReadOnlyList<IDisposable>> LockSharedAsync(IReadOnlyList<string> names, IReporter reporter, CancellationToken cancellationToken) =>
        Services.Servers.LockGroupsAsync(names, group: null, groupId: null, reporter, cancellationToken);
}
