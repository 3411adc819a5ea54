using System.Management.Automation;
using HsmRemote.Completers;

namespace HsmRemote.Commands;

/// <summary>Makes a server's socket appear on another machine over ssh, or one of another machine on this.</summary>
[Cmdlet(VerbsCommon.New, "P11SocketForward", SupportsShouldProcess = true, ConfirmImpact = ConfirmImpact.Medium, DefaultParameterSetName = ServerSet)]
[OutputType(typeof(P11ChangeResult))]
public sealed class NewP11SocketForwardCommand : ChangeCommand
{
    const string ServerSet = "Server";
    const string SocketSet = "Socket";
    const string ServerColimaSet = "ServerColima";
    const string SocketColimaSet = "SocketColima";

    /// <summary>The instance whose socket is to appear on the far side.</summary>
    [Parameter(ParameterSetName = ServerSet, Mandatory = true, Position = 0, ValueFromPipelineByPropertyName = true)]
    [Parameter(ParameterSetName = ServerColimaSet, Mandatory = true, Position = 0, ValueFromPipelineByPropertyName = true)]
    [ArgumentCompleter(typeof(ServerNameCompleter))]
    [ValidateNotNullOrEmpty]
    public string Name { get; set; } = "";

    /// <summary>The socket on this host: the one to forward or, with -Direction Pull, the one to make.</summary>
    [Parameter(ParameterSetName = SocketSet)]
    [Parameter(ParameterSetName = SocketColimaSet)]
    [ValidateNotNullOrEmpty]
    public string? SocketPath { get; set; }

    /// <summary>The far side: a name, an address, or an alias of ssh's configuration.</summary>
    [Parameter(ParameterSetName = ServerSet, Mandatory = true, Position = 1)]
    [Parameter(ParameterSetName = SocketSet, Mandatory = true)]
    [ArgumentCompleter(typeof(SshHostCompleter))]
    [ValidateNotNullOrEmpty]
    public string? HostName { get; set; }

    /// <summary>The far side is the virtual machine of colima.</summary>
    [Parameter(ParameterSetName = ServerColimaSet, Mandatory = true)]
    [Parameter(ParameterSetName = SocketColimaSet, Mandatory = true)]
    public SwitchParameter Colima { get; set; }

    /// <summary>The profile of colima.</summary>
    [Parameter(ParameterSetName = ServerColimaSet, Position = 1)]
    [Parameter(ParameterSetName = SocketColimaSet, Position = 1)]
    [ValidatePattern("^[A-Za-z0-9][A-Za-z0-9_-]*$")]
    public string ColimaProfile { get; set; } = "default";

    /// <summary>The port of sshd, from 1 to 65535. By default what ssh's configuration says.</summary>
    [Parameter(ParameterSetName = ServerSet)]
    [Parameter(ParameterSetName = SocketSet)]
    [ValidateRange(1, 65535)]
    public int? Port { get; set; }

    /// <summary>The user on the far side. By default what ssh's configuration says.</summary>
    [Parameter(ParameterSetName = ServerSet)]
    [Parameter(ParameterSetName = SocketSet)]
    [Alias("UserName")]
    [ValidateNotNullOrEmpty]
    public string? User { get; set; }

    /// <summary>The file of the private key for ssh, which has no passphrase or is in an agent. By default what ssh's configuration says.</summary>
    [Parameter(ParameterSetName = ServerSet)]
    [Parameter(ParameterSetName = SocketSet)]
    [ValidateNotNullOrEmpty]
    public string? KeyPath { get; set; }

    /// <summary>The configuration file for ssh, in place of its own.</summary>
    [Parameter(ParameterSetName = ServerSet)]
    [Parameter(ParameterSetName = SocketSet)]
    [ValidateNotNullOrEmpty]
    public string? SshConfig { get; set; }

    /// <summary>The socket on the far side. By default /tmp/pkcs11; with -Direction Pull it has to be given.</summary>
    [Parameter]
    [ValidateNotNullOrEmpty]
    public string? RemotePath { get; set; }

    /// <summary>Push: a socket of this host appears on the far side. Pull: one of the far side appears here.</summary>
    [Parameter(ParameterSetName = SocketSet)]
    [Parameter(ParameterSetName = SocketColimaSet)]
    public P11ForwardDirection Direction { get; set; } = P11ForwardDirection.Push;

    /// <summary>The permissions of the socket that is made, in octal. By default 0660 with -Group, and else 0600.</summary>
    [Parameter]
    [ValidatePattern("^0?[0-7]{3}$")]
    public string? SocketMode { get; set; }

    /// <summary>The user that the socket is given to where it is made: a name or a number.</summary>
    [Parameter]
    [ArgumentCompleter(typeof(UserNameCompleter))]
    [ValidateNotNullOrEmpty]
    public string? Owner { get; set; }

    /// <summary>The group that the socket is given to where it is made: a name or a number.</summary>
    [Parameter]
    [ArgumentCompleter(typeof(GroupNameCompleter))]
    [ValidateNotNullOrEmpty]
    public string? Group { get; set; }

    /// <summary>The forward's name. By default the server's, or the socket's directory, and the host.</summary>
    [Parameter]
    [ArgumentCompleter(typeof(ForwardNameCompleter))]
    [ValidateNotNullOrEmpty]
    public string? ForwardName { get; set; }

    /// <summary>Whose it is: the machine's, or the caller's own. By default root's is the machine's, and others' their own.</summary>
    [Parameter]
    public P11KitServerScope? Scope { get; set; }

    /// <summary>It starts with the machine. Without it, it ends with the machine.</summary>
    [Parameter]
    public SwitchParameter Persist { get; set; }

    private protected override bool NeedsRoot => false;

    private protected override Task<IDisposable> LockAsync(string name, P11KitServerScope? scope, IReporter reporter, CancellationToken cancellationToken) =>
        Services.Forwards.LockAsync(name, scope!.Value, reporter, cancellationToken);

    /// <inheritdoc/>
    protected override void ProcessRecord() => Attempt(() =>
    {
        var spec = Spec();
        var (name, scope) = Services.Forwards.Identify(spec);
        Carry(name, (reporter, cancellation) => Services.Forwards.PlanNewAsync(spec, reporter, cancellation), $"Forward a socket as '{name}'", scope);
    });

    P11KitServer FindServer()
    {
        try
        {
            return Await(reporter => Services.Servers.Find(Name, reporter));
        }
        catch (HsmRemoteException e) when (e.ErrorId is "ServerAmbiguous" && Scope is not null)
        {
            // Of two with one name, that of the systemd which is to have the forward.
            return Await(reporter => Services.Servers.Find(Name, reporter, Scope));
        }
    }

    P11SocketForwardSpec Spec()
    {
        var server = Name.Length == 0 ? null : FindServer();
        if (server is { SocketPath: null })
            throw SocketUnknown(server);

        var path = server?.SocketPath ?? (SocketPath is null ? null : Resolve(SocketPath));
        if (path is null && Direction == P11ForwardDirection.Push)
        {
            throw new HsmRemoteException(
                "ForwardSourceRequired", FailureKind.InvalidArgument, "Which socket of this host is to appear on the far side was not said.",
                "Give the server with -Name, or its socket with -SocketPath. For a socket of the far side: -Direction Pull.", HostName ?? ColimaProfile);
        }

        return new P11SocketForwardSpec
        {
            Name = ForwardName,
            ServerName = server?.Name,
            SocketPath = path,
            HostName = Colima ? null : HostName,
            Port = Port,
            UserName = User,
            KeyPath = KeyPath is null ? null : Resolve(KeyPath),
            SshConfig = SshConfig is null ? null : Resolve(SshConfig),
            ColimaProfile = Colima ? ColimaProfile : null,
            RemotePath = RemotePath,
            Direction = Direction,
            SocketMode = SocketMode is null ? null : (UnixFileMode)Convert.ToInt32(SocketMode, 8),
            Owner = Owner,
            Group = Group,
            Persist = Persist,
            Scope = Scope,
        };
    }
}
