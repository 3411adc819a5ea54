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

    P11Login? login;
    SecureString? pinOfFile;

    /// <summary>The instances' names, with wildcards.</summary>
    [Parameter(ParameterSetName = ServerSet, Position = 0, ValueFromPipelineByPropertyName = true)]
    [ArgumentCompleter(typeof(ServerNameCompleter))]
    [SupportsWildcards]
    [ValidateNotNullOrEmpty]
    public string[] Name { get; set; } = ["p11-kit-server"];

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
        if (User is not null && (Uid is not null || Gid is not null || SupplementaryGroup is not null))
        {
            ThrowTerminatingError(ToErrorRecord(new HsmRemoteException(
                "IdentityAmbiguous", FailureKind.InvalidArgument, "-User brings its own ids and groups, so -Uid, -Gid and -SupplementaryGroup cannot be given with it.",
                "Give either -User, or -Uid and -Gid.", User)));
        }

        if (ParameterSetName is SocketSet)
            Attempt(() => Test(new P11SocketEndpoint(null, Resolve(SocketPath))));
        else
            Attempt(TestServers);
    }

    void TestServers()
    {
        foreach (var server in FindServers(Name))
        {
            if (TryGetSocketPath(server) is { } path)
            {
                Attempt(() => Test(new P11SocketEndpoint(server.Name, path, server.TargetUri)));
            }
        }
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
            pinOfFile?.Dispose();
        base.Dispose(disposing);
    }

    void ReadLogin()
    {
        if (Pin is not null && PinPath is not null)
            throw Invalid("PinAmbiguous", "-Pin and -PinPath both give a PIN.", "Give one of them.", PinPath);
        var key = KeyUri is null ? null : ParseKeyUri(KeyUri);
        if (PinPath is not null)
            pinOfFile = Services.Sockets.ReadPin(Resolve(PinPath));
        if ((Pin ?? pinOfFile) is { } pin)
            login = pin.Length > 0 ? new(pin, key, Force) : throw Invalid("PinEmpty", "The PIN is empty.", "Ask for one: -Pin (Read-Host -AsSecureString PIN).", "-Pin");
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

    void Test(P11SocketEndpoint endpoint)
    {
        var identity = new P11IdentityRequest(User, Uid, Gid, SupplementaryGroup);
        var timeout = TimeSpan.FromSeconds(TimeoutSeconds);
        var test = Await((_, cancellation) => Services.Sockets.TestAsync(endpoint, identity, timeout, cancellation, login));
        foreach (var check in test.Checks)
            WriteVerbose($"{check.Name}: {check.Status}: {check.Detail} ({check.Duration.TotalMilliseconds:F1} ms)");
        if (Quiet)
            WriteObject(test.Succeeded);
        else
            WriteObject(test);
    }

    static HsmRemoteException Invalid(string errorId, string message, string remedy, object target) =>
        new(errorId, FailureKind.InvalidArgument, message, remedy, target);
}
