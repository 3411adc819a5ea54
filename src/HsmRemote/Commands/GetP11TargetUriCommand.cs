using System.Management.Automation;
using HsmRemote.Completers;

namespace HsmRemote.Commands;

/// <summary>Gets the target of an instance: the tokens that it exposes.</summary>
[Cmdlet(VerbsCommon.Get, "P11TargetUri")]
[OutputType(typeof(P11TargetUri))]
public sealed class GetP11TargetUriCommand : HsmRemoteCommand
{
    /// <summary>The instances' names, with wildcards. By default all.</summary>
    [Parameter(Position = 0, ValueFromPipelineByPropertyName = true)]
    [ArgumentCompleter(typeof(ServerNameCompleter))]
    [SupportsWildcards]
    [ValidateNotNullOrEmpty]
    public string[] Name { get; set; } = ["*"];

    /// <summary>Whose instance: the machine's, or the caller's own. By default both.</summary>
    [Parameter(ValueFromPipelineByPropertyName = true)]
    public P11KitServerScope? Scope { get; set; }

    /// <inheritdoc/>
    protected override void ProcessRecord() => Attempt(() =>
    {
        foreach (var server in FindServers(Name, Scope))
            Attempt(() => WriteObject(Await(_ => Services.Servers.GetTarget(server.Name, server.Scope))));
    });
}
