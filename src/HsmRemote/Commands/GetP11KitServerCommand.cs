using System.Management.Automation;
using HsmRemote.Completers;

namespace HsmRemote.Commands;

/// <summary>Gets the instances of p11-kit servers on this host, whoever installed them.</summary>
[Cmdlet(VerbsCommon.Get, "P11KitServer")]
[OutputType(typeof(P11KitServer))]
public sealed class GetP11KitServerCommand : HsmRemoteCommand
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
    protected override void ProcessRecord() => Attempt(() => WriteObject(FindServers(Name, Scope), enumerateCollection: true));
}
