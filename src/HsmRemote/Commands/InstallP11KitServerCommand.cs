using System.Collections;
using System.Management.Automation;
using HsmRemote.Completers;

namespace HsmRemote.Commands;

/// <summary>Installs an instance of a p11-kit server under systemd, or brings one to what is asked for.</summary>
[Cmdlet(VerbsLifecycle.Install, "P11KitServer", SupportsShouldProcess = true, ConfirmImpact = ConfirmImpact.Medium)]
[OutputType(typeof(P11ChangeResult))]
public sealed class InstallP11KitServerCommand : ChangeCommand
{
    /// <summary>The instance's name: of its units and its directory in /etc. At most 64 letters, digits, '-', '_' and '.'.</summary>
    [Parameter(Position = 0, ValueFromPipelineByPropertyName = true)]
    [ArgumentCompleter(typeof(ServerNameCompleter))]
    [ValidateNotNullOrEmpty]
    public string Name { get; set; } = "p11-kit-server";

    /// <summary>The name that the instance has had so far: it is renamed, and keeps all that it is otherwise.</summary>
    [Parameter]
    [ArgumentCompleter(typeof(ServerNameCompleter))]
    [ValidateNotNullOrEmpty]
    public string? FormerName { get; set; }

    /// <summary>How it serves. By default as it is installed, or PerConnection.</summary>
    [Parameter]
    public P11KitServerMode? Mode { get; set; }

    /// <summary>Whose it is: the machine's, or the caller's own, for rootless containers. By default as it is installed, or System.</summary>
    [Parameter(ValueFromPipelineByPropertyName = true)]
    public P11KitServerScope? Scope { get; set; }

    /// <summary>The socket's absolute path, at most 107 bytes. By default /run/NAME/pkcs11.</summary>
    [Parameter]
    [ValidateNotNullOrEmpty]
    public string? SocketPath { get; set; }

    /// <summary>The socket's permissions, in octal. Writing is connecting. By default 0660.</summary>
    [Parameter]
    [ValidatePattern("^0?[0-7]{3}$")]
    public string? SocketMode { get; set; }

    /// <summary>The group that may connect; created when it is missing. By default root.</summary>
    [Parameter]
    [ArgumentCompleter(typeof(GroupNameCompleter))]
    [ValidateNotNullOrEmpty]
    public string? Group { get; set; }

    /// <summary>The group's number. A group that is there keeps its own.</summary>
    [Parameter]
    public uint? GroupId { get; set; }

    /// <summary>The tokens to expose. Without it, the target stays as it is, and a new instance exposes nothing.</summary>
    [Parameter]
    [ArgumentCompleter(typeof(TokenUriCompleter))]
    [AllowEmptyCollection]
    public string[]? TargetUri { get; set; }

    /// <summary>Modules that have to be there: softhsm2, opensc, tpm2, or the name of a package.</summary>
    [Parameter]
    [ArgumentCompleter(typeof(ModulePackageCompleter))]
    [ValidateNotNullOrEmpty]
    public string[] Module { get; set; } = [];

    /// <summary>Installs p11-kit and the modules with the host's package manager where they are missing.</summary>
    [Parameter]
    public SwitchParameter InstallPackage { get; set; }

    /// <summary>How many connections may be open at a time, for PerConnection. By default 256.</summary>
    [Parameter]
    [ValidateRange(1, 65536)]
    public uint? MaxConnections { get; set; }

    /// <summary>How many of them one user may have, for PerConnection on systemd 257 and later. 0, the default: no such limit.</summary>
    [Parameter]
    [ValidateRange(0, 65536)]
    public uint? MaxConnectionsPerSource { get; set; }

    /// <summary>The only user that may connect, whatever the permissions say, for Daemon. An empty string: any.</summary>
    [Parameter]
    [ArgumentCompleter(typeof(UserNameCompleter))]
    [AllowEmptyString]
    public string? PeerUser { get; set; }

    /// <summary>The primary group that whoever connects has to have, whatever the permissions say, for Daemon. An empty string: any.</summary>
    [Parameter]
    [ArgumentCompleter(typeof(GroupNameCompleter))]
    [AllowEmptyString]
    public string? PeerGroup { get; set; }

    /// <summary>Files and directories that the service may write to besides its modules' own stores. They become the whole list.</summary>
    [Parameter]
    [AllowEmptyCollection]
    public string[]? AllowPath { get; set; }

    /// <summary>Device nodes that the service may open besides those that its modules are known to need. They become the whole list.</summary>
    [Parameter]
    [AllowEmptyCollection]
    public string[]? AllowDevice { get; set; }

    /// <summary>Environment variables for the modules, such as SOFTHSM2_CONF. They become the whole list. No secrets: everyone may read them.</summary>
    [Parameter]
    [ValidateNotNull]
    public Hashtable? Environment { get; set; }

    /// <summary>The user that the service runs as, where its tokens allow that. By default root, without capabilities.</summary>
    [Parameter]
    [ArgumentCompleter(typeof(UserNameCompleter))]
    [ValidateNotNullOrEmpty]
    public string? ServiceUser { get; set; }

    /// <summary>Take over a p11-kit server of that name that something else installed.</summary>
    [Parameter]
    public SwitchParameter Adopt { get; set; }

    private protected override bool NeedsRoot => false;

    /// <inheritdoc/>
    protected override void ProcessRecord() => Attempt(() =>
    {
        // A user's instance does not become the machine's by its new name.
        var scope = Scope ?? (FormerName is null ? null : Services.Servers.ScopeOf([Name, FormerName]));
        RequireRights(Name, scope);
        var spec = new P11KitServerSpec
        {
            Name = Name,
            Mode = Mode,
            Scope = scope,
            SocketPath = SocketPath,
            SocketMode = SocketMode is null ? null : (UnixFileMode)Convert.ToInt32(SocketMode, 8),
            Group = Group,
            GroupId = GroupId,
            TargetUri = TargetUri?.Select(uri => ParseUri(uri, nameof(TargetUri))).ToList(),
            MaxConnections = MaxConnections,
            MaxConnectionsPerSource = MaxConnectionsPerSource,
            // Whoever did not give it gave null, which the engine makes an empty string of.
            PeerUser = MyInvocation.BoundParameters.ContainsKey(nameof(PeerUser)) ? PeerUser : null,
            PeerGroup = MyInvocation.BoundParameters.ContainsKey(nameof(PeerGroup)) ? PeerGroup : null,
            FormerName = FormerName,
            Adopt = Adopt,
            AllowPath = AllowPath?.Select(Absolute).ToList(),
            AllowDevice = AllowDevice?.Select(Absolute).ToList(),
            Environment = Environment is null ? null : Variables(Environment),
            ServiceUser = ServiceUser,
            Modules = Module,
            InstallPackage = InstallPackage,
        };
        Carry(
            FormerName is null ? [Name] : [Name, FormerName],
            (reporter, cancellation) => Services.Servers.PlanInstallAsync(spec, reporter, cancellation),
            FormerName is null ? $"Install the p11-kit server '{Name}'" : $"Install the p11-kit server '{Name}', formerly '{FormerName}'", scope);
    });

    private protected override Task<IReadOnlyList<IDisposable>> LockSharedAsync(IReadOnlyList<string> names, IReporter reporter, CancellationToken cancellationToken) =>
        Services.Servers.LockGroupsAsync(names, Group, GroupId, reporter, cancellationToken);

    // The engine would take a backslash for a separator, and nothing for where the session is.
    string Absolute(string? path) => path is null or "" or ['/', ..] ? path ?? "" : Resolve(path);

    static Dictionary<string, string> Variables(Hashtable given)
    {
        Dictionary<string, string> variables = new(StringComparer.Ordinal);
        foreach (DictionaryEntry entry in given)
        {
            var name = $"{entry.Key}";
            if (entry.Value is null || !variables.TryAdd(name, $"{entry.Value}"))
            {
                throw new HsmRemoteException(
                    "EnvironmentInvalid", FailureKind.InvalidArgument, $"'{name}' cannot be set: -Environment has {(entry.Value is null ? "no value for it" : "it twice")}.",
                    "Give each variable once, with a value; an empty one is ''.", name);
            }
        }

        return variables;
    }
}
