using System.Management.Automation;
using HsmRemote.Completers;

namespace HsmRemote.Commands;

/// <summary>What starting, stopping and restarting instances have in common, whoever installed them.</summary>
public abstract class RunServerCommand : ChangeCommand
{
    private protected const string ServerSet = "Server";

    /// <summary>The instances' names, with wildcards.</summary>
    [Parameter(ParameterSetName = ServerSet, Mandatory = true, Position = 0, ValueFromPipelineByPropertyName = true)]
    [ArgumentCompleter(typeof(ServerNameCompleter))]
    [SupportsWildcards]
    [ValidateNotNullOrEmpty]
    public string[] Name { get; set; } = [];

    /// <summary>Whose instance: the machine's, or the caller's own. By default the one that there is.</summary>
    [Parameter(ParameterSetName = ServerSet, ValueFromPipelineByPropertyName = true)]
    public P11KitServerScope? Scope { get; set; }

    private protected override bool NeedsRoot => false;

    private protected abstract string Verb { get; }

    /// <inheritdoc/>
    protected override void ProcessRecord()
    {
        foreach (var name in Name)
        {
            if (WildcardPattern.ContainsWildcardCharacters(name))
            {
                Attempt(() =>
                {
                    foreach (var server in FindServers([name], Scope))
                        Carry(server.Name, server.Scope);
                });
            }
            else
                Carry(name, Scope);
        }
    }

    private protected abstract IChangePlan Plan(string name, IReporter reporter, P11KitServerScope? scope);

    void Carry(string name, P11KitServerScope? scope) => Attempt(() =>
    {
        RequireRights(name, scope);
        Carry(name, (reporter, _) => Task.FromResult(Plan(name, reporter, scope)), $"{Verb} the p11-kit server '{name}'", scope);
    });
}
