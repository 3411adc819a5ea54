using System.Collections.Concurrent;
using System.Management.Automation;
using System.Security;
using HsmRemote.Completers;

namespace HsmRemote.Commands;

/// <summary>Tests from the outside whether a user can use the token behind a socket, and says why not.</summary>
[Cmdlet(VerbsDiagnostic.Test, "P11Socket", DefaultParameterSetName = ServerSet)]
[OutputType(typeof(P11SocketTest), typeof(bool))]
public sealed class TestP11SocketCommand : HsmRemoteCommand
{
    const string ServerSet = "Server";
    const string SocketSet = "Socket";

    readonly BlockingCollection<Task<P11SocketTest>> ended = [];
    int underWay;
    P11Login? login;

    /// <summary>The instances' names, with wildcards.</summary>
    [Parameter(ParameterSetName = ServerSet, Position = 0, ValueFromPipelineByPropertyName = true)]
    [ArgumentCompleter(typeof(ServerNameCompleter))]
    [SupportsWildcards]
    [ValidateNotNullOrEmpty]
    public string[] Name { get; set; } = ["p11-kit-server"];

    /// <summary>Whose instance: the machine's, or the caller's own. By default the one that there is.</summary>
    [Parameter(ParameterSetName = ServerSet, ValueFromPipelineByPropertyName = true)]
    public P11KitServerScope? Scope { get; set; }

    /// <summary>The socket itself, where there is no instance.</summary>
    [Parameter(ParameterSetName = SocketSet, Mandatory = true)]
    [ValidateNotNullOrEmpty]
    public string SocketPath { get; set; } = "";

    /// <summary>Test as this user, with all the groups that the name has. By default the caller.</summary>
    [Parameter]
    [ArgumentCompleter(typeof(UserNameCompleter))]
    [ValidateNotNullOrEmpty]
    public string? User { get; set; }

    /// <summary>Test as this user id, which need not have a name.</summary>
    [Parameter]
    public uint? Uid { get; set; }

    /// <summary>With this primary group id. By default that of the user.</summary>
    [Parameter]
    public uint? Gid { get; set; }

    /// <summary>With these group ids besides, as a container's --group-add gives them. By default none.</summary>
    [Parameter]
    public uint[]? SupplementaryGroup { get; set; }

    /// <summary>Test as this process: with its ids, its groups, the files that it sees, and, unless -Name or -SocketPath is given, its own P11_KIT_SERVER_ADDRESS.</summary>
    [Parameter]
    [ValidateRange(1, int.MaxValue)]
    public int? ProcessId { get; set; }

    /// <summary>Test as the main process of this container of podman or docker.</summary>
    [Parameter]
    [ArgumentCompleter(typeof(ContainerNameCompleter))]
    [ValidateNotNullOrEmpty]
    public string? Container { get; set; }

    /// <summary>How many tests run at a time, from 1 to 256; their results come as they end.</summary>
    [Parameter]
    [ValidateRange(1, 256)]
    public int ThrottleLimit { get; set; } = 8;

    /// <summary>How long the whole may take, in seconds, from 0.1 to 3600.</summary>
    [Parameter]
    [ValidateRange(0.1, 3600.0)]
    public double TimeoutSeconds { get; set; } = 5;

    /// <summary>Also log in with this user PIN and sign with the private key. One attempt a token, however many servers lead to it.</summary>
    [Parameter]
    [ValidateNotNull]
    public SecureString? Pin { get; set; }

    /// <summary>The same, with the PIN in this file, which must belong to the caller and have mode 0600. A newline at its end does not count.</summary>
    [Parameter]
    [ValidateNotNullOrEmpty]
    public string? PinPath { get; set; }

    /// <summary>The private key to sign with, as a PKCS #11 URI with id or object. By default the only one in the token.</summary>
    [Parameter]
    [ArgumentCompleter(typeof(PrivateKeyUriCompleter))]
    [ValidateNotNullOrEmpty]
    public string? KeyUri { get; set; }

    /// <summary>Log in also when the token says that one attempt is left.</summary>
    [Parameter]
    public SwitchParameter Force { get; set; }

    /// <summary>Only whether it succeeded, as a Boolean.</summary>
    [Parameter]
    public SwitchParameter Quiet { get; set; }

    /// <inheritdoc/>
    protected override void BeginProcessing()
    {
        try
        {
            RequireOneIdentity();
            ReadLogin();
        }
        catch (HsmRemoteException e)
        {
            ThrowTerminatingError(ToErrorRecord(e));
        }
    }

    /// <inheritdoc/>
    protected override void ProcessRecord()
    {
        // Of a process, the path is one of its own file system, where nothing of the session's location holds.
        if (ParameterSetName is SocketSet)
            Start(new P11SocketEndpoint(null, IsOfProcess ? SocketPath : Resolve(SocketPath)));
        else if (IsOfProcess && !MyInvocation.BoundParameters.ContainsKey(nameof(Name)))
            Start(new P11SocketEndpoint(null, ""));
        else
            Attempt(StartServers);
    }

    /// <inheritdoc/>
    protected override void EndProcessing() => WriteUntil(0);

    bool IsOfProcess => ProcessId is not null || Container is not null;

    void RequireOneIdentity()
    {
        var hasIds = Uid is not null || Gid is not null || SupplementaryGroup is not null;
        if (new[] { User is not null, hasIds, ProcessId is not null, Container is not null }.Count(given => given) > 1)
        {
            throw Invalid(
                "IdentityAmbiguous",
                "A user, a process and a container each bring their own ids and groups, so that they exclude each other and -Uid, -Gid and -SupplementaryGroup.",
                "Give one of -User, -ProcessId and -Container, or -Uid and -Gid.", User ?? Container ?? $"{ProcessId}");
        }
    }

    void ReadLogin()
    {
        var key = KeyUri is null ? null : ParseKeyUri(KeyUri);
        if (ReadPin(Pin, PinPath) is { } pin)
            login = new(pin, key, Force);
        else if (key is not null)
            throw Invalid("PinRequired", "-KeyUri names a key to sign with, and no PIN is given.", "Give it with -Pin or -PinPath.", key);
    }

    static Pkcs11Uri ParseKeyUri(string text)
    {
        // The text is not repeated: it may hold a PIN.
        if (!Pkcs11Uri.TryParse(text, out var uri, out var error))
            throw Invalid("KeyUriMalformed", $"The value of -KeyUri is no PKCS #11 URI. {error}", "Take it from 'p11tool --list-privkeys --login URL', in quotes.", "-KeyUri");
        if (uri.HasPin)
            throw Invalid("KeyUriHasPin", "The value of -KeyUri holds a PIN, which the shell's history keeps.", "Leave it out, and give the PIN with -Pin or -PinPath.", "-KeyUri");
        if (uri.PathAttributes.FirstOrDefault(a => a is not ("token" or "manufacturer" or "model" or "serial" or "id" or "object" or "type")) is { } other)
            throw Invalid("KeyUriUnsupported", $"'{other}' in -KeyUri says nothing of a key behind a server.", "Leave it out: id, object and the token's own attributes name a key.", uri);
        if (uri.Type is not (null or "private"))
            throw Invalid("KeyUriNotPrivate", $"-KeyUri names an object of type '{uri.Type}', which does not sign.", "Write type=private, or leave the type out.", uri);
        return uri;
    }

    void StartServers()
    {
        foreach (var server in FindServers(Name, Scope))
        {
            if (TryGetSocketPath(server) is { } path)
                Start(P11SocketEndpoint.Of(server, path));
        }
    }

    /// <summary>Starts a test when there is room for it, and writes the results that are there meanwhile.</summary>
    void Start(P11SocketEndpoint endpoint)
    {
        WriteUntil(ThrottleLimit - 1);
        var identity = new P11IdentityRequest(User, Uid, Gid, SupplementaryGroup, ProcessId, Container);
        var timeout = TimeSpan.FromSeconds(TimeoutSeconds);
        underWay++;
        _ = Task.Run(() => Services.Sockets.TestAsync(endpoint, identity, timeout, StopToken, login), CancellationToken.None)
            .ContinueWith(ended.Add, CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
    }

    /// <summary>Writes results as they come, until no more than some are still under way; and those that are there already.</summary>
    void WriteUntil(int stillUnderWay)
    {
        try
        {
            while ((underWay > stillUnderWay || ended.Count > 0) && TryTake(ended, () => $"Test sockets, under way: {underWay}", StopToken, out var test))
            {
                underWay--;
                Attempt(() => WriteTest(test.GetAwaiter().GetResult(), Quiet));
            }
        }
        catch (OperationCanceledException) when (StopToken.IsCancellationRequested)
        {
            throw new PipelineStoppedException();
        }
        finally
        {
            CompleteProgress();
        }
    }

    static HsmRemoteException Invalid(string errorId, string message, string remedy, object target) =>
        new(errorId, FailureKind.InvalidArgument, message, remedy, target);
}
