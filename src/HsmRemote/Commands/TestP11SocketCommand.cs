using System.Management.Automation;
using HsmRemote.Completers;

namespace HsmRemote.Commands;

/// <summary>Tests from the outside whether a user can use the token behind a socket, and says why not.</summary>
[Cmdlet(VerbsDiagnostic.Test, "P11Socket", DefaultParameterSetName = ServerSet)]
[OutputType(typeof(P11SocketTest), typeof(bool))]
public sealed class TestP11SocketCommand : HsmRemoteCommand
{
    const string ServerSet = "Server";
    const string SocketSet = "Socket";

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

    /// <summary>Only whether it succeeded, as a Boolean.</summary>
    [Parameter]
    public SwitchParameter Quiet { get; set; }

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

    void Test(P11SocketEndpoint endpoint)
    {
        var identity = new P11IdentityRequest(User, Uid, Gid, SupplementaryGroup);
        var timeout = TimeSpan.FromSeconds(TimeoutSeconds);
        var test = Await((_, cancellation) => Services.Sockets.TestAsync(endpoint, identity, timeout, cancellation));
        foreach (var check in test.Checks)
            WriteVerbose($"{check.Name}: {check.Status}: {check.Detail} ({check.Duration.TotalMilliseconds:F1} ms)");
        if (Quiet)
            WriteObject(test.Succeeded);
        else
            WriteObject(test);
    }
}
