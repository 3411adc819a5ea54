using System.Management.Automation;
using HsmRemote.Completers;

namespace HsmRemote.Commands;

/// <summary>Sets the target of an instance: the tokens piped in or given, all of them, and no others.</summary>
[Cmdlet(VerbsCommon.Set, "P11TargetUri", SupportsShouldProcess = true, ConfirmImpact = ConfirmImpact.Medium)]
[OutputType(typeof(P11ChangeResult))]
public sealed class SetP11TargetUriCommand : ChangeCommand
{
    readonly Dictionary<string, List<Pkcs11Uri>> targets = new(StringComparer.Ordinal);

    /// <summary>The instance's name.</summary>
    [Parameter(Mandatory = true, Position = 0, ValueFromPipelineByPropertyName = true)]
    [ArgumentCompleter(typeof(ServerNameCompleter))]
    [ValidateNotNullOrEmpty]
    public string Name { get; set; } = "";

    /// <summary>The tokens' URIs. Those of objects are cut down to their tokens'. An empty array: nothing is exposed.</summary>
    [Parameter(Mandatory = true, Position = 1, ValueFromPipelineByPropertyName = true)]
    [ArgumentCompleter(typeof(TokenUriCompleter))]
    [AllowEmptyCollection]
    public string[] Uri { get; set; } = [];

    /// <summary>Whose instance: the machine's, or the caller's own. By default the one that there is.</summary>
    [Parameter]
    public P11KitServerScope? Scope { get; set; }

    private protected override bool MayBeOwn => true;

    /// <inheritdoc/>
    protected override void ProcessRecord()
    {
        // All that is piped in is one target, so that nothing can be decided before the last record.
        if (!targets.TryGetValue(Name, out var uris))
            targets[Name] = uris = [];
        try
        {
            uris.AddRange(Uri.Select(uri => ParseUri(uri, nameof(Uri))));
        }
        catch (HsmRemoteException e)
        {
            // A target without one of its tokens is another target.
            ThrowTerminatingError(ToErrorRecord(e));
        }
    }

    /// <inheritdoc/>
    protected override void EndProcessing()
    {
        if (targets.Count == 0)
        {
            ThrowTerminatingError(ToErrorRecord(new HsmRemoteException(
                "NoTokenPiped", FailureKind.InvalidArgument, "No token was piped in, so there is no target to set, and nothing has been changed.",
                "See what Get-Pkcs11Token finds. To expose nothing, say so: Set-P11TargetUri -Name NAME -Uri @().", "-Uri")));
        }

        foreach (var (name, uris) in targets)
        {
            Attempt(() =>
            {
                RequireRights(name, Scope);
                Carry(
                    Await(reporter => Services.Servers.PlanTarget(name, uris, reporter, Scope)),
                    $"Set the target of the p11-kit server '{name}'");
            });
        }
    }
}
