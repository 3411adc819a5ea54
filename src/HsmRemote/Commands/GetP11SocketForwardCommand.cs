using System.Management.Automation;
using HsmRemote.Completers;

namespace HsmRemote.Commands;

/// <summary>Gets the sockets that are forwarded over ssh, and how their tunnels are.</summary>
[Cmdlet(VerbsCommon.Get, "P11SocketForward")]
[OutputType(typeof(P11SocketForward))]
public sealed class GetP11SocketForwardCommand : HsmRemoteCommand
{
    /// <summary>The forwards' names, with wildcards. By default all.</summary>
    [Parameter(Position = 0, ValueFromPipelineByPropertyName = true)]
    [ArgumentCompleter(typeof(ForwardNameCompleter))]
    [SupportsWildcards]
    [ValidateNotNullOrEmpty]
    public string[] Name { get; set; } = ["*"];

    /// <summary>Whose: the machine's, or the caller's own. By default both.</summary>
    [Parameter(ValueFromPipelineByPropertyName = true)]
    public P11KitServerScope? Scope { get; set; }

    /// <inheritdoc/>
    protected override void ProcessRecord() => Attempt(() => WriteObject(FindForwards(Name, Scope), enumerateCollection: true));
}
