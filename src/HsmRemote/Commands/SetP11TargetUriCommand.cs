using System.Management.Automation;
using HsmRemote.Completers;

namespace HsmRemote.Commands;

/// <summary>Sets the target of an instance: the tokens piped in or given, all of them, and no others.</summary>
[Cmdlet(VerbsCommon.Set, "P11TargetUri", SupportsShouldProcess = true, ConfirmImpact = ConfirmImpact.Medium, DefaultParameterSetName = SetSet)]
[OutputType(typeof(P11TargetResult))]
public sealed class SetP11TargetUriCommand : ChangeCommand
{
    const string SetSet = "Set";
    const string AddSet = "Add";
    const string RemoveSet = "Remove";

    readonly Dictionary<(string Name, P11KitServerScope? Scope), List<Pkcs11Uri>> targets = [];
    bool isNamed;

    /// <summary>The instance's name.</summary>
    [Parameter(Mandatory = true, Position = 0, ValueFromPipelineByPropertyName = true)]
    [ArgumentCompleter(typeof(ServerNameCompleter))]
    [ValidateNotNullOrEmpty]
    public string Name { get; set; } = "";

    /// <summary>The tokens' URIs. Those of objects are cut down to their tokens'. An empty array: nothing is exposed.</summary>
    // Not mandatory: the engine would ask for it, and make an empty array, which ends what is exposed, of Enter.
    [Parameter(Position = 1, ValueFromPipelineByPropertyName = true)]
    [ArgumentCompleter(typeof(TokenUriCompleter))]
    public string[]? Uri { get; set; }

    /// <summary>Adds the tokens to the target, which stays as it is otherwise.</summary>
    [Parameter(ParameterSetName = AddSet, Mandatory = true)]
    public SwitchParameter Add { get; set; }

    /// <summary>Takes the tokens out of the target, which stays as it is otherwise.</summary>
    [Parameter(ParameterSetName = RemoveSet, Mandatory = true)]
    public SwitchParameter Remove { get; set; }

    /// <summary>How the tokens are named: as p11tool prints them, or in the fewest characters that name each alone on this host.</summary>
    [Parameter(ParameterSetName = SetSet)]
    [Parameter(ParameterSetName = AddSet)]
    public P11TargetForm Form { get; set; }

    /// <summary>Also when a URI selects no token that is there now, or others besides.</summary>
    [Parameter]
    public SwitchParameter Force { get; set; }

    /// <summary>Leaves connections open that see tokens which are no more in the target.</summary>
    [Parameter]
    public SwitchParameter KeepConnections { get; set; }

    /// <summary>How long one module or the server may take, in seconds, from 0.1 to 3600.</summary>
    [Parameter]
    [ValidateRange(0.1, 3600.0)]
    public double TimeoutSeconds { get; set; } = 30;

    /// <summary>Whose instance: the machine's, or the caller's own. By default the one that there is.</summary>
    [Parameter(ValueFromPipelineByPropertyName = true)]
    public P11KitServerScope? Scope { get; set; }

    private protected override bool NeedsRoot => false;

    /// <inheritdoc/>
    protected override void BeginProcessing()
    {
        // Whose instance a piped target is says nothing of one that the command names.
        isNamed = MyInvocation.BoundParameters.ContainsKey(nameof(Name)) && !MyInvocation.BoundParameters.ContainsKey(nameof(Scope));
        base.BeginProcessing();
    }

    /// <inheritdoc/>
    protected override void ProcessRecord()
    {
        // All that is piped in is one target, so that nothing can be decided before the last record.
        var instance = (Name, isNamed ? null : Scope);
        if (!targets.TryGetValue(instance, out var uris))
            targets[instance] = uris = [];
        try
        {
            uris.AddRange((Uri ?? throw NoToken()).Select(uri => ParseUri(uri, nameof(Uri))));
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
            ThrowTerminatingError(ToErrorRecord(NoToken()));
        foreach (var ((name, scope), uris) in targets)
        {
            var request = new P11TargetRequest
            {
                Name = name,
                Scope = scope,
                Uri = uris,
                Change = Add ? P11TargetChange.Add : Remove ? P11TargetChange.Remove : P11TargetChange.Set,
                Form = Form,
                Force = Force,
                KeepConnections = KeepConnections,
                Timeout = TimeSpan.FromSeconds(TimeoutSeconds),
                Environment = GetPkcs11TokenCommand.SessionEnvironment(),
            };
            Attempt(() =>
            {
                RequireRights(name, scope);
                Carry(
                    name,
                    async (reporter, cancellation) => await Services.Servers.PlanTargetAsync(request, reporter, cancellation),
                    $"Set the target of the p11-kit server '{name}'", scope);
            });
        }

        base.EndProcessing();
    }

    /// <inheritdoc/>
    private protected override P11ChangeResult Result(IChangePlan plan, bool isWhatIf)
    {
        var target = (IP11TargetPlan)plan;
        return new P11TargetResult
        {
            Name = plan.Name,
            Changed = plan.Changes.Count > 0,
            Changes = plan.Changes,
            WhatIf = isWhatIf,
            Uri = target.Target,
            Exposes = isWhatIf ? Await<IReadOnlyList<Pkcs11Token>?>(async (reporter, cancellation) => await target.SelectedAsync(reporter, cancellation)) : Await(target.ExposedAsync),
        };
    }

    static HsmRemoteException NoToken() => new(
        "NoTokenPiped", FailureKind.InvalidArgument, "No token was given with -Uri or piped in, so there is no target to set, and nothing has been changed.",
        "See what Get-Pkcs11Token finds, and pipe it in. To expose nothing, say so: Set-P11TargetUri -Name NAME -Uri @().", "-Uri");
}
