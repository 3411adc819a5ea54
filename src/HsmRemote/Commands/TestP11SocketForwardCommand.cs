using System.Management.Automation;
using System.Security;
using HsmRemote.Completers;

namespace HsmRemote.Commands;

/// <summary>Tests a forward from its tunnel to the token, and says why not.</summary>
[Cmdlet(VerbsDiagnostic.Test, "P11SocketForward")]
[OutputType(typeof(P11SocketTest), typeof(bool))]
public sealed class TestP11SocketForwardCommand : HsmRemoteCommand
{
    P11Login? login;

    /// <summary>The forwards' names, with wildcards.</summary>
    [Parameter(Mandatory = true, Position = 0, ValueFromPipelineByPropertyName = true)]
    [ArgumentCompleter(typeof(ForwardNameCompleter))]
    [SupportsWildcards]
    [ValidateNotNullOrEmpty]
    public string[] Name { get; set; } = [];

    /// <summary>Whose: the machine's, or the caller's own. By default the one that there is.</summary>
    [Parameter(ValueFromPipelineByPropertyName = true)]
    public P11KitServerScope? Scope { get; set; }

    /// <summary>How long one test may take, in seconds, from 0.1 to 3600.</summary>
    [Parameter]
    [ValidateRange(0.1, 3600.0)]
    public double TimeoutSeconds { get; set; } = 20;

    /// <summary>Also log in with this user PIN and sign with the only private key in the token.</summary>
    [Parameter]
    [ValidateNotNull]
    public SecureString? Pin { get; set; }

    /// <summary>The same, with the PIN in this file, which must belong to the caller and have mode 0600. A newline at its end does not count.</summary>
    [Parameter]
    [ValidateNotNullOrEmpty]
    public string? PinPath { get; set; }

    /// <summary>Only whether it succeeded, as a Boolean.</summary>
    [Parameter]
    public SwitchParameter Quiet { get; set; }

    /// <inheritdoc/>
    protected override void BeginProcessing()
    {
        try
        {
            if (ReadPin(Pin, PinPath) is { } pin)
                login = new(pin, null, false);
        }
        catch (HsmRemoteException e)
        {
            ThrowTerminatingError(ToErrorRecord(e));
        }
    }

    /// <inheritdoc/>
    protected override void ProcessRecord() => Attempt(() =>
    {
        foreach (var forward in FindForwards(Name, Scope))
            Attempt(() => Test(forward));
    });

    void Test(P11SocketForward forward) => WriteTest(
        Await((_, cancellation) => Services.Forwards.TestAsync(forward, TimeSpan.FromSeconds(TimeoutSeconds), cancellation, login)), Quiet);
}
