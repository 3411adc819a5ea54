using System.Collections;
using System.Management.Automation;
using HsmRemote.Completers;

namespace HsmRemote.Commands;

/// <summary>Gets PKCS #11 tokens: of this host's modules, or behind the socket of an instance.</summary>
[Cmdlet(VerbsCommon.Get, "Pkcs11Token", DefaultParameterSetName = ModuleSet)]
[OutputType(typeof(Pkcs11Token))]
public sealed class GetPkcs11TokenCommand : HsmRemoteCommand
{
    const string ModuleSet = "Module";
    const string ServerSet = "Server";
    const string SocketSet = "Socket";
    const string ModuleObjectSet = "ModuleObject";

    /// <summary>The tokens' labels, with wildcards. By default all.</summary>
    [Parameter(Position = 0)]
    [ArgumentCompleter(typeof(TokenLabelCompleter))]
    [SupportsWildcards]
    [ValidateNotNullOrEmpty]
    public string[] Label { get; set; } = ["*"];

    /// <summary>Only tokens that this URI selects; what it says of an object does not count.</summary>
    [Parameter]
    [ArgumentCompleter(typeof(TokenUriCompleter))]
    [ValidateNotNullOrEmpty]
    public string? Uri { get; set; }

    /// <summary>Only this module: its name in p11-kit's configuration, or the path of its library.</summary>
    [Parameter(ParameterSetName = ModuleSet)]
    [ArgumentCompleter(typeof(ModuleNameCompleter))]
    [ValidateNotNullOrEmpty]
    public string? Module { get; set; }

    /// <summary>Only this module, from Get-Pkcs11Module.</summary>
    [Parameter(ParameterSetName = ModuleObjectSet, Mandatory = true, ValueFromPipeline = true)]
    [ValidateNotNull]
    public Pkcs11Module? InputObject { get; set; }

    /// <summary>Only what this instance exposes, seen through its socket.</summary>
    [Alias("Server")]
    [Parameter(ParameterSetName = ServerSet, Mandatory = true, ValueFromPipelineByPropertyName = true)]
    [ArgumentCompleter(typeof(ServerNameCompleter))]
    [ValidateNotNullOrEmpty]
    public string Name { get; set; } = "";

    /// <summary>Whose instance: the machine's, or the caller's own. By default the one that there is.</summary>
    [Parameter(ParameterSetName = ServerSet, ValueFromPipelineByPropertyName = true)]
    public P11KitServerScope? Scope { get; set; }

    /// <summary>Only what is behind this socket.</summary>
    [Parameter(ParameterSetName = SocketSet, Mandatory = true)]
    [ValidateNotNullOrEmpty]
    public string SocketPath { get; set; } = "";

    /// <summary>Reads each module in a process of its own, behind 'p11-kit remote': one that crashes is named, and the others are listed.</summary>
    [Parameter(ParameterSetName = ModuleSet)]
    [Parameter(ParameterSetName = ModuleObjectSet)]
    public SwitchParameter Isolated { get; set; }

    /// <summary>Also slots whose token is not initialised.</summary>
    [Parameter]
    public SwitchParameter IncludeUninitialized { get; set; }

    /// <summary>Also p11-kit's store of trusted certificates, which holds no keys.</summary>
    [Parameter]
    public SwitchParameter IncludeTrust { get; set; }

    /// <summary>Waits until there is a token that fits, or for each -Label one.</summary>
    [Parameter]
    public SwitchParameter Wait { get; set; }

    /// <summary>How long it may take, in seconds, from 0.1 to 3600.</summary>
    [Parameter]
    [ValidateRange(0.1, 3600.0)]
    public double TimeoutSeconds { get; set; } = 30;

    // What was seen for all of the pipeline, to tell what was not.
    readonly List<Pkcs11Token> seen = [];
    readonly HashSet<string> found = new(StringComparer.Ordinal);
    bool isRead;

    /// <inheritdoc/>
    protected override void ProcessRecord() => Attempt(() =>
    {
        var socketPath = ParameterSetName switch
        {
            SocketSet => Resolve(SocketPath),
            ServerSet => TryFindServer(Name, Scope) is { } server ? TryGetSocketPath(server) : null,
            _ => null,
        };
        // What is wrong with the instance has been said.
        if (socketPath is null && ParameterSetName is ServerSet)
            return;
        var query = new Pkcs11TokenQuery
        {
            Uri = Uri is null ? null : ParseUri(Uri, nameof(Uri)),
            Module = ParameterSetName is ModuleObjectSet ? InputObject!.Name
                : Module is not null && Module.Contains('/', StringComparison.Ordinal) ? Resolve(Module) : Module,
            SocketPath = socketPath,
            ServerName = ParameterSetName is ServerSet ? Name : null,
            Isolated = Isolated,
            IncludeUninitialized = IncludeUninitialized,
            IncludeTrust = IncludeTrust,
            Timeout = TimeSpan.FromSeconds(TimeoutSeconds),
            Environment = SessionEnvironment(),
        };
        var patterns = Array.ConvertAll(Label, label => Pattern(label, WildcardOptions.IgnoreCase));
        var tokens = Await((reporter, cancellation) => Wait
            ? Services.Tokens.WaitAsync(query, read => patterns.All(pattern => read.Any(token => pattern.IsMatch(token.Label))), reporter, cancellation)
            : Services.Tokens.FindAsync(query, reporter, cancellation));
        isRead = true;
        seen.AddRange(tokens);
        HashSet<Pkcs11Token> written = [];
        for (var i = 0; i < Label.Length; i++)
        {
            foreach (var token in tokens.Where(token => patterns[i].IsMatch(token.Label)))
            {
                found.Add(Label[i]);
                if (written.Add(token))
                    WriteObject(token);
            }
        }
    });

    /// <inheritdoc/>
    protected override void EndProcessing()
    {
        foreach (var label in Label.Where(label => isRead && !found.Contains(label) && (Wait || Uri is not null || !WildcardPattern.ContainsWildcardCharacters(label))))
            WriteError(ToErrorRecord(NotFound(label, seen)));
    }

    /// <summary>What the session has set, which native code would not see by itself.</summary>
    internal static Dictionary<string, string> SessionEnvironment()
    {
        Dictionary<string, string> environment = new(StringComparer.Ordinal);
        foreach (DictionaryEntry variable in Environment.GetEnvironmentVariables())
            environment[(string)variable.Key] = (string)variable.Value!;
        return environment;
    }

    HsmRemoteException NotFound(string label, IReadOnlyList<Pkcs11Token> tokens)
    {
        var others = string.Join(", ", tokens.Select(token => $"'{token.Label}'").Distinct(StringComparer.Ordinal));
        var remedy = others.Length > 0 ? $"There is: {others}." : "Check that it is plugged in and its module installed: Get-Pkcs11Module.";
        var what = Uri is null ? $"with the label '{label}'" : "that -Uri selects";
        return Wait
            ? new HsmRemoteException(
                "TokenWaitTimedOut", FailureKind.Timeout, $"In {TimeoutSeconds:0.###} s there was no token {what}.", $"{remedy} -TimeoutSeconds says how long to wait.", Uri ?? label)
            : new HsmRemoteException("TokenNotFound", FailureKind.NotFound, $"There is no token {what}.", remedy, Uri ?? label);
    }
}
