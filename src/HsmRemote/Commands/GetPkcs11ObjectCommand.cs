using System.Management.Automation;
using System.Security;
using System.Text;
using HsmRemote.Completers;

namespace HsmRemote.Commands;

/// <summary>Gets the keys, certificates and data in PKCS #11 tokens: of this host's modules, or behind the socket of an instance.</summary>
[Cmdlet(VerbsCommon.Get, "Pkcs11Object", DefaultParameterSetName = ModuleSet)]
[OutputType(typeof(Pkcs11Object))]
public sealed class GetPkcs11ObjectCommand : HsmRemoteCommand
{
    const string ModuleSet = "Module";
    const string TokenSet = "Token";
    const string ServerSet = "Server";
    const string SocketSet = "Socket";
    const string ModuleObjectSet = "ModuleObject";

    // What was found, to tell what was not.
    readonly HashSet<string> labels = new(StringComparer.Ordinal);
    readonly HashSet<string> ids = new(StringComparer.Ordinal);
    readonly List<Pkcs11Token> tokens = [];
    Pkcs11ObjectQuery query = new();
    Pkcs11Uri? uri;
    List<WildcardPattern> patterns = [];
    List<byte[]> wantedIds = [];
    bool isRead;

    /// <summary>The objects' labels, with wildcards. By default all. Case counts.</summary>
    [Parameter(Position = 0)]
    [ArgumentCompleter(typeof(ObjectLabelCompleter))]
    [SupportsWildcards]
    [ValidateNotNullOrEmpty]
    public string[] Label { get; set; } = ["*"];

    /// <summary>The tokens to look into, as Get-Pkcs11Token gives them.</summary>
    [Parameter(ParameterSetName = TokenSet, Mandatory = true, ValueFromPipeline = true)]
    [ValidateNotNull]
    public Pkcs11Token[] Token { get; set; } = [];

    /// <summary>Only objects that this URI selects: what it says of the token, and the object's id, label and type.</summary>
    [Parameter(ParameterSetName = ModuleSet)]
    [Parameter(ParameterSetName = ServerSet)]
    [Parameter(ParameterSetName = SocketSet)]
    [Parameter(ParameterSetName = ModuleObjectSet)]
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

    /// <summary>Only objects of these classes. By default all.</summary>
    [Parameter]
    [Alias("Class")]
    [ValidateNotNullOrEmpty]
    public Pkcs11ObjectClass[] Type { get; set; } = [];

    /// <summary>Only objects with one of these ids, in hex, or the bytes of one. Colons and a 0x in front do not count.</summary>
    [Parameter]
    [IdText]
    [ValidateNotNullOrEmpty]
    public string[] Id { get; set; } = [];

    /// <summary>Reads each module in a process of its own, behind 'p11-kit remote': one that crashes is named, and the session goes on.</summary>
    [Parameter(ParameterSetName = ModuleSet)]
    [Parameter(ParameterSetName = ModuleObjectSet)]
    [Parameter(ParameterSetName = TokenSet)]
    public SwitchParameter Isolated { get; set; }

    /// <summary>Log in with this user PIN, and get the private objects too. One attempt, on one token.</summary>
    [Parameter]
    [ValidateNotNull]
    public SecureString? Pin { get; set; }

    /// <summary>The same, with the PIN in this file, which must belong to the caller and have mode 0600. A newline at its end does not count.</summary>
    [Parameter]
    [ValidateNotNullOrEmpty]
    public string? PinPath { get; set; }

    /// <summary>Log in also when the token says that one attempt is left.</summary>
    [Parameter]
    public SwitchParameter Force { get; set; }

    /// <summary>How long one token may take, in seconds, from 0.1 to 3600.</summary>
    [Parameter]
    [ValidateRange(0.1, 3600.0)]
    public double TimeoutSeconds { get; set; } = 30;

    /// <inheritdoc/>
    protected override void BeginProcessing()
    {
        try
        {
            uri = Uri is null ? null : ParseObjectUri(Uri, nameof(Uri));
            patterns = [.. Label.Select(label => Pattern(label))];
            wantedIds = [.. Id.Select(ParseId)];
            query = (uri is null ? new() : Pkcs11ObjectQuery.Of(uri)) with
            {
                Login = ReadPin(Pin, PinPath) is { } pin ? new(pin, force: Force) : null,
                Isolated = Isolated,
                Timeout = TimeSpan.FromSeconds(TimeoutSeconds),
                Environment = GetPkcs11TokenCommand.SessionEnvironment(),
            };
            // The token filters by one of the two; what both say is seen to when the objects are there.
            if (query.Classes.Count == 0)
                query = query with { Classes = Type };
            if (query.Ids.Count == 0)
                query = query with { Ids = wantedIds };
            // And it compares whole labels only.
            if (query.Labels.Count == 0 && !Label.Any(WildcardPattern.ContainsWildcardCharacters))
                query = query with { Labels = [.. Label.Select(label => Encoding.UTF8.GetBytes(WildcardPattern.Unescape(label)))] };
        }
        catch (HsmRemoteException e)
        {
            ThrowTerminatingError(ToErrorRecord(e));
        }
    }

    /// <inheritdoc/>
    protected override void ProcessRecord() => Attempt(() =>
    {
        var found = ParameterSetName is TokenSet ? Token : FindTokens();
        // A PIN is one token's: how many there are is known at the end.
        if (query.Login is not null)
            tokens.AddRange(found);
        else
            Read(found);
    });

    /// <inheritdoc/>
    protected override void EndProcessing()
    {
        Attempt(() =>
        {
            if (tokens.DistinctBy(token => token.Uri).Count() > 1)
            {
                throw new HsmRemoteException(
                    "PinForSeveralTokens", FailureKind.InvalidArgument,
                    $"There are {tokens.Count} tokens to log in to: {string.Join(", ", tokens.Select(token => $"'{token.Label}'"))}. A PIN is tried on one token only, because a wrong one costs an attempt.",
                    ParameterSetName is TokenSet
                        ? $"Pipe the one that is meant: Get-Pkcs11Token -Uri '{tokens[0].Uri}', for example."
                        : $"Name the one that is meant: -Uri '{tokens[0].Uri}', for example.",
                    tokens[0]);
            }

            Read(tokens);
        });
        if (isRead)
            WriteNotFound();
    }

    /// <summary>
    /// Takes the bytes of an id for one, and no numbers of a list for ids: what was typed of them, such as 0x10 or 01, is lost by then. Of a single one it is not.
    /// </summary>
    sealed class IdTextAttribute : ArgumentTransformationAttribute
    {
        public override object Transform(EngineIntrinsics engineIntrinsics, object inputData) =>
            (inputData is PSObject wrapped ? wrapped.BaseObject : inputData) switch
            {
                byte[] id => Convert.ToHexStringLower(id),
                object[] list => Array.ConvertAll(list, item => Of(item is PSObject inner ? inner.BaseObject : item)),
                int[] or long[] or uint[] or ulong[] => throw Number("a list of numbers"),
                _ => inputData,
            };

        static string Of(object? item) => item switch
        {
            byte[] id => Convert.ToHexStringLower(id),
            string text => text,
            _ => throw Number($"'{item}', a number"),
        };

        static ArgumentTransformationMetadataException Number(string what) =>
            new($"An id is text in hex, and this is {what}: how it was written, with a 0x or a 0 in front, is lost. Write the ids in quotes: -Id '01', '0x10'.");
    }

    static byte[] ParseId(string text)
    {
        try
        {
            var digits = text.StartsWith("0x", StringComparison.OrdinalIgnoreCase) ? text[2..] : text;
            return Convert.FromHexString(digits.Replace(":", "", StringComparison.Ordinal));
        }
        catch (FormatException e)
        {
            throw new HsmRemoteException(
                "IdMalformed", FailureKind.InvalidArgument, $"The id '{text}' is not in hex.", "Write two digits a byte, such as 01 or 0A:FF, as Get-Pkcs11Object shows them.", text, e);
        }
    }

    IReadOnlyList<Pkcs11Token> FindTokens()
    {
        var socketPath = ParameterSetName switch
        {
            SocketSet => Resolve(SocketPath),
            ServerSet => TryFindServer(Name, Scope) is { } server ? TryGetSocketPath(server) : null,
            _ => null,
        };
        // What is wrong with the instance has been said.
        if (socketPath is null && ParameterSetName is ServerSet)
            return [];
        var found = Await((reporter, cancellation) => Services.Tokens.FindAsync(
            new Pkcs11TokenQuery
            {
                Uri = uri,
                Module = ParameterSetName is ModuleObjectSet ? InputObject!.Name : Module is not null && Module.Contains('/', StringComparison.Ordinal) ? Resolve(Module) : Module,
                SocketPath = socketPath,
                ServerName = ParameterSetName is ServerSet ? Name : null,
                Isolated = Isolated,
                Timeout = query.Timeout,
                Environment = query.Environment,
            },
            reporter, cancellation));
        if (found.Count == 0 && uri is not null)
            throw NoSuchToken(uri);
        isRead |= found.Count == 0;
        return found;
    }

    void Read(IReadOnlyList<Pkcs11Token> from)
    {
        foreach (var token in from)
        {
            Attempt(() =>
            {
                var objects = Await((reporter, cancellation) => Services.Objects.FindAsync(token, query, reporter, cancellation));
                isRead = true;
                foreach (var found in objects.Where(IsWanted))
                {
                    labels.Add(found.Label);
                    ids.Add(found.Id);
                    WriteObject(found);
                }
            });
        }
    }

    bool IsWanted(Pkcs11Object found) =>
        patterns.Exists(pattern => pattern.IsMatch(found.Label))
        && (Type.Length == 0 || Type.Contains(found.Class))
        && (Id.Length == 0 || wantedIds.Exists(id => string.Equals(Convert.ToHexStringLower(id), found.Id, StringComparison.Ordinal)));

    /// <summary>What was asked for by its name and is nowhere is an error; a pattern that fits nothing is none.</summary>
    void WriteNotFound()
    {
        foreach (var label in Label.Where(label => !WildcardPattern.ContainsWildcardCharacters(label) && !labels.Contains(WildcardPattern.Unescape(label))))
            WriteError(ToErrorRecord(NotFound($"with the label '{label}'", label)));
        foreach (var (text, id) in Id.Zip(wantedIds).Where(id => !ids.Contains(Convert.ToHexStringLower(id.Second))))
            WriteError(ToErrorRecord(NotFound($"with the id {text}", text)));
        if (uri is not null && uri != uri.ToTokenUri() && labels.Count == 0)
            WriteError(ToErrorRecord(NotFound("that -Uri selects", uri)));
    }

    HsmRemoteException NotFound(string which, object target) => new HsmRemoteException(
        "ObjectNotFound", FailureKind.NotFound, $"No object is to be seen {which}.",
        query.Login is null ? "Private objects are seen only with -Pin or -PinPath. Get-Pkcs11Object -Label * shows the others." : "Get-Pkcs11Object -Label * shows what there is.", target);
}
