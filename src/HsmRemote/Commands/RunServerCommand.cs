using System.Management.Automation;
using HsmRemote.Completers;

namespace HsmRemote.Commands;

/// <summary>What starting, stopping and restarting instances have in common, whoever installed them.</summary>
public abstract class RunServerCommand : ChangeCommand
{
    /// <summary>The instances' names, with wildcards.</summary>
    [Parameter(Mandatory = true, Position = 0, ValueFromPipelineByPropertyName = true)]
    [ArgumentCompleter(typeof(ServerNameCompleter))]
    [SupportsWildcards]
    [ValidateNotNullOrEmpty]
    public string[] Name { get; set; } = [];

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
                    foreach (var server in FindServers([name]))
                        Carry(server.Name);
                });
            }
            else
                Carry(name);
        }
    }

    private protected abstract IChangePlan Plan(string name, IReporter reporter);

    void Carry(string name) => Attempt(() => Carry(Await(reporter => Plan(name, reporter)), $"{Verb} the p11-kit server '{name}'"));
}
