using System.Management.Automation;
using HsmRemote.Completers;

namespace HsmRemote.Commands;

/// <summary>Ends a forward and leaves nothing of it, here and on the far side.</summary>
[Cmdlet(VerbsCommon.Remove, "P11SocketForward", SupportsShouldProcess = true, ConfirmImpact = ConfirmImpact.Medium)]
[OutputType(typeof(P11ChangeResult))]
public sealed class RemoveP11SocketForwardCommand : ChangeCommand
{
    /// <summary>The forwards' names, with wildcards. One that is not there is no error: there is nothing to do.</summary>
    [Parameter(Mandatory = true, Position = 0, ValueFromPipelineByPropertyName = true)]
    [ArgumentCompleter(typeof(ForwardNameCompleter))]
    [SupportsWildcards]
    [ValidateNotNullOrEmpty]
    public string[] Name { get; set; } = [];

    /// <summary>Whose: the machine's, or the caller's own. By default the one that there is.</summary>
    [Parameter(ValueFromPipelineByPropertyName = true)]
    public P11KitServerScope? Scope { get; set; }

    private protected override bool NeedsRoot => false;

    private protected override Task<IDisposable> LockAsync(string name, P11KitServerScope? scope, IReporter reporter, CancellationToken cancellationToken) =>
        Services.Forwards.LockAsync(name, scope!.Value, reporter, cancellationToken);

    /// <inheritdoc/>
    protected override void ProcessRecord()
    {
        foreach (var name in Name)
        {
            Attempt(() =>
            {
                if (WildcardPattern.ContainsWildcardCharacters(name))
                {
                    foreach (var forward in FindForwards([name], Scope))
                        Attempt(() => Remove(forward.Name, forward.Scope));
                }
                else
                    Remove(name, Scope ?? Await(Services.Forwards.Get).FirstOrDefault(f => string.Equals(f.Name, name, StringComparison.Ordinal))?.Scope ?? OwnScope);
            });
        }
    }

    static P11KitServerScope OwnScope => Environment.IsPrivilegedProcess ? P11KitServerScope.System : P11KitServerScope.User;

    void Remove(string name, P11KitServerScope scope) =>
        Carry(name, (reporter, cancellation) => Services.Forwards.PlanRemoveAsync(name, scope, reporter, cancellation), $"Remove the forward '{name}'", scope);
}
