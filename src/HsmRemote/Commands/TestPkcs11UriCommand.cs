using System.Management.Automation;
using HsmRemote.Completers;

namespace HsmRemote.Commands;

/// <summary>Says what a p11-kit server makes of a URI in its target: what it uses, ignores and misreads, and what it exposes.</summary>
[Cmdlet(VerbsDiagnostic.Test, "Pkcs11Uri")]
[OutputType(typeof(Pkcs11UriTest), typeof(bool))]
public sealed class TestPkcs11UriCommand : HsmRemoteCommand
{
    // The tokens are asked once for all URIs, since a module may be slow.
    readonly List<string> uris = [];

    /// <summary>The URIs, of which some may be none.</summary>
    [Parameter(Mandatory = true, Position = 0, ValueFromPipeline = true, ValueFromPipelineByPropertyName = true)]
    [ArgumentCompleter(typeof(TokenUriCompleter))]
    [UriText]
    [AllowEmptyString]
    [AllowEmptyCollection]
    public string[] Uri { get; set; } = [];

    /// <summary>Writes only whether Set-P11TargetUri would take it.</summary>
    [Parameter]
    public SwitchParameter Quiet { get; set; }

    /// <summary>How long one module may take, in seconds, from 0.1 to 3600.</summary>
    [Parameter]
    [ValidateRange(0.1, 3600.0)]
    public double TimeoutSeconds { get; set; } = 30;

    /// <inheritdoc/>
    protected override void ProcessRecord() => uris.AddRange(Uri);

    /// <inheritdoc/>
    protected override void EndProcessing() => Attempt(() =>
    {
        var query = new Pkcs11TokenQuery { Timeout = TimeSpan.FromSeconds(TimeoutSeconds), Environment = GetPkcs11TokenCommand.SessionEnvironment() };
        foreach (var test in Await((reporter, cancellation) => Services.Servers.TestUrisAsync(uris, query, reporter, cancellation)))
            WriteObject(Quiet ? test.Refusal is null : test);
    });

    /// <summary>Takes the URIs of an object that has them, where the engine would take its name.</summary>
    sealed class UriTextAttribute : ArgumentTransformationAttribute
    {
        public override object Transform(EngineIntrinsics engineIntrinsics, object inputData) =>
            (inputData is PSObject wrapped ? wrapped.BaseObject : inputData) switch
            {
                P11TargetUri target => target.Uri.Select(uri => uri.ToString()).ToArray(),
                P11TargetResult result => result.Uri.Select(uri => uri.ToString()).ToArray(),
                Pkcs11UriTest test => test.Text,
                _ => inputData,
            };
    }
}
