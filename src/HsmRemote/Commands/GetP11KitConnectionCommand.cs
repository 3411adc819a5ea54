using System.Management.Automation;
using HsmRemote.Completers;

namespace HsmRemote.Commands;

/// <summary>Gets the connections to instances that are open: who is connected, and to which tokens.</summary>
[Cmdlet(VerbsCommon.Get, "P11KitConnection")]
[OutputType(typeof(P11KitConnection))]
public sealed class GetP11KitConnectionCommand : HsmRemoteCommand
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
        {
            Attempt(() => WriteObject(
                Await((reporter, cancellation) => Services.Servers.GetConnectionsAsync(server, reporter, cancellation)), enumerateCollection: true));
        }
    });
}
