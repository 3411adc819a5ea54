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

    /// <summary>Only what this instance exposes, seen through its socket.</summary>
    [Parameter(ParameterSetName = ServerSet, Mandatory = true, ValueFromPipelineByPropertyName = true)]
    [ArgumentCompleter(typeof(ServerNameCompleter))]
    [ValidateNotNullOrEmpty]
    public string Name { get; set; } = "";

    /// <summary>Only what is behind this socket.</summary>
    [Parameter(ParameterSetName = SocketSet, Mandatory = true)]
    [ValidateNotNullOrEmpty]
    public string SocketPath { get; set; } = "";

    /// <summary>Reads each module in a process of its own, behind 'p11-kit remote': one that crashes is named, and the others are listed.</summary>
    [Parameter(ParameterSetName = ModuleSet)]
    public SwitchParameter Isolated { get; set; }

    /// <summary>Also slots whose token is not initialised.</summary>
    [Parameter]
    public SwitchParameter IncludeUninitialized { get; set; }

    /// <summary>Also p11-kit's store of trusted certificates, which holds no keys.</summary>
    [Parameter]
    public SwitchParameter IncludeTrust { get; set; }

    /// <summary>How long one module or socket may take, in seconds, from 0.1 to 3600.</summary>
    [Parameter]
    [ValidateRange(0.1, 3600.0)]
    public double TimeoutSeconds { get; set; } = 30;

    /// <inheritdoc/>
    protected override void ProcessRecord() => Attempt(() =>
    {
        var socketPath = ParameterSetName switch
        {
            SocketSet => Resolve(SocketPath),
            ServerSet => TryFindServer(Name) is { } server ? TryGetSocketPath(server) : null,
            _ => null,
        };
        // What is wrong with the instance has been said.
        if (socketPath is null && ParameterSetName is ServerSet)
            return;
        var query = new Pkcs11TokenQuery
        {
            Uri = Uri is null ? null : ParseUri(Uri, nameof(Uri)),
            Module = Module is not null && Module.Contains('/', StringComparison.Ordinal) ? Resolve(Module) : Module,
            SocketPath = socketPath,
            ServerName = ParameterSetName is ServerSet ? Name : null,
            Isolated = Isolated,
            IncludeUninitialized = IncludeUninitialized,
            IncludeTrust = IncludeTrust,
            Timeout = TimeSpan.FromSeconds(TimeoutSeconds),
            Environment = SessionEnvironment(),
        };
        var tokens = Await((reporter, cancellation) => Services.Tokens.FindAsync(query, reporter, cancellation));
        foreach (var label in Label)
        {
            var pattern = WildcardPattern.Get(label, WildcardOptions.IgnoreCase);
            var found = tokens.Where(token => pattern.IsMatch(token.Label)).ToList();
            WriteObject(found, enumerateCollection: true);
            if (found.Count == 0 && (Uri is not null || !WildcardPattern.ContainsWildcardCharacters(label)))
                WriteError(ToErrorRecord(NotFound(label, tokens)));
        }
    });

    /// <summary>What the session has set, which native code would not see by itself.</summary>
    internal static Dictionary<string, string> SessionEnvironment() =>
        Environment.GetEnvironmentVariables().Cast<DictionaryEntry>().ToDictionary(e => (string)e.Key, e => (string)e.Value!, StringComparer.Ordinal);

    HsmRemoteException NotFound(string label, IReadOnlyList<Pkcs11Token> tokens)
    {
        var others = string.Join(", ", tokens.Select(token => $"'{token.Label}'").Distinct(StringComparer.Ordinal));
        return new HsmRemoteException(
            "TokenNotFound", FailureKind.NotFound,
            Uri is null ? $"There is no token with the label '{label}'." : "There is no token that -Uri selects.",
            others.Length > 0 ? $"There is: {others}." : "Check that it is plugged in and its module installed: 'p11-kit list-modules'.",
            Uri is null ? label : Uri);
    }
}
