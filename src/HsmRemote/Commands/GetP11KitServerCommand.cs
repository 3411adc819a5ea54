using System.Management.Automation;
using HsmRemote.Completers;

namespace HsmRemote.Commands;

/// <summary>Gets the instances of p11-kit servers on this host, whoever installed them.</summary>
[Cmdlet(VerbsCommon.Get, "P11KitServer", DefaultParameterSetName = ServerSet)]
[OutputType(typeof(P11KitServer), ParameterSetName = [ServerSet])]
[OutputType(typeof(P11KitLogEntry), ParameterSetName = [LogSet])]
public sealed class GetP11KitServerCommand : HsmRemoteCommand
{
    const string ServerSet = "Server";
    const string LogSet = "Log";

    /// <summary>The instances' names, with wildcards. By default all.</summary>
    [Parameter(Position = 0, ValueFromPipelineByPropertyName = true)]
    [ArgumentCompleter(typeof(ServerNameCompleter))]
    [SupportsWildcards]
    [ValidateNotNullOrEmpty]
    public string[] Name { get; set; } = ["*"];

    /// <summary>Whose instance: the machine's, or the caller's own. By default both.</summary>
    [Parameter(ValueFromPipelineByPropertyName = true)]
    public P11KitServerScope? Scope { get; set; }

    /// <summary>Also memory, processor time, drop-ins, drift and the last journal entries. Always so for a name without wildcards.</summary>
    [Parameter(ParameterSetName = ServerSet)]
    public SwitchParameter Detailed { get; set; }

    /// <summary>Instead of the instances their journal entries, the newest so many of each, from 1 to 100000.</summary>
    [Parameter(ParameterSetName = LogSet, Mandatory = true)]
    [ValidateRange(1, 100_000)]
    public int Log { get; set; }

    /// <inheritdoc/>
    protected override void ProcessRecord() => Attempt(() =>
    {
        if (ParameterSetName is LogSet)
        {
            foreach (var server in FindServers(Name, Scope))
                WriteObject(Await(reporter => Services.Servers.Log(server, Log, reporter)), enumerateCollection: true);
        }
        else
            WriteObject(FindServers(Name, Scope, Detailed, namedDetailed: true), enumerateCollection: true);
    });
}
