using System.Management.Automation;
using HsmRemote.Completers;

namespace HsmRemote.Commands;

/// <summary>Starts instances, so that they accept connections; or runs a server from the prompt, where there is no systemd.</summary>
[Cmdlet(VerbsLifecycle.Start, "P11KitServer", SupportsShouldProcess = true, ConfirmImpact = ConfirmImpact.Medium, DefaultParameterSetName = ServerSet)]
[OutputType(typeof(P11ChangeResult), ParameterSetName = [ServerSet])]
[OutputType(typeof(P11KitForegroundServer), ParameterSetName = [ForegroundSet])]
public sealed class StartP11KitServerCommand : RunServerCommand
{
    const string ForegroundSet = "Foreground";

    readonly List<Pkcs11Uri> targets = [];

    /// <summary>Run p11-kit server from here until Ctrl-C, and remove its socket then.</summary>
    [Parameter(ParameterSetName = ForegroundSet, Mandatory = true)]
    public SwitchParameter Foreground { get; set; }

    /// <summary>The tokens that it exposes.</summary>
    [Parameter(ParameterSetName = ForegroundSet, Mandatory = true, ValueFromPipelineByPropertyName = true)]
    [Alias("Uri")]
    [ArgumentCompleter(typeof(TokenUriCompleter))]
    [ValidateNotNullOrEmpty]
    public string[] TargetUri { get; set; } = [];

    /// <summary>Where it listens. By default in a directory of its own that only the caller can enter.</summary>
    [Parameter(ParameterSetName = ForegroundSet)]
    [ValidateNotNullOrEmpty]
    public string? SocketPath { get; set; }

    private protected override string Verb => "Start";

    private protected override IChangePlan Plan(string name, IReporter reporter, P11KitServerScope? scope) => Services.Servers.PlanStart(name, reporter, scope);

    /// <inheritdoc/>
    protected override void ProcessRecord()
    {
        if (Foreground)
            Attempt(() => targets.AddRange(TargetUri.Select(uri => ParseUri(uri, nameof(TargetUri)))));
        else
            base.ProcessRecord();
    }

    /// <inheritdoc/>
    protected override void EndProcessing()
    {
        // One server for all the tokens that were piped in. What it changes ends with it, so there is nothing to plan.
        if (Foreground && targets.Count > 0 && ShouldProcess(string.Join(' ', targets), "Run p11-kit server until Ctrl-C"))
            Attempt(Run);
        base.EndProcessing();
    }

    void Run()
    {
        var path = SocketPath is null ? null : Resolve(SocketPath);
        // It is waited for when the pipeline is stopped: it ends the server and removes its socket.
        Await<object?>(
            async (reporter, write, cancellation) =>
            {
                await Services.Servers.RunForegroundAsync(targets, path, write, reporter, cancellation);
                return null;
            },
            leave: false);
    }
}
