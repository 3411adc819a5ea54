using System.Collections.Concurrent;
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

    readonly BlockingCollection<(P11SocketEndpoint Endpoint, Task<P11SocketTest> Test)> ended = [];
    int underWay;

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

    /// <summary>Only whether it succeeded, as a Boolean.</summary>
    [Parameter]
    public SwitchParameter Quiet { get; set; }

    /// <inheritdoc/>
    protected override void ProcessRecord()
    {
        RequireOneIdentity();
        if (ParameterSetName is SocketSet)
        {
            // Of a process, the path is one of its own file system, where nothing of the session's location holds.
            Start(new P11SocketEndpoint(null, IsOfProcess ? SocketPath : Resolve(SocketPath)));
        }
        else if (IsOfProcess && !MyInvocation.BoundParameters.ContainsKey(nameof(Name)))
        {
            Start(new P11SocketEndpoint(null, ""));
        }
        else
        {
            foreach (var server in FindServers(Name))
            {
                if (TryGetSocketPath(server) is { } path)
                    Start(new P11SocketEndpoint(server.Name, path, server.ConfigPath is null ? null : server.TargetUri));
            }
        }
    }

    /// <inheritdoc/>
    protected override void EndProcessing() => WriteUntil(0);

    bool IsOfProcess => ProcessId is not null || Container is not null;

    void RequireOneIdentity()
    {
        var hasIds = Uid is not null || Gid is not null || SupplementaryGroup is not null;
        if (new[] { User is not null, hasIds, ProcessId is not null, Container is not null }.Count(given => given) > 1)
        {
            ThrowTerminatingError(ToErrorRecord(new HsmRemoteException(
                "IdentityAmbiguous", FailureKind.InvalidArgument, "A user, a process and a container each bring their own ids and groups, so that they exclude each other and -Uid, -Gid and -SupplementaryGroup.",
                "Give one of -User, -ProcessId and -Container, or -Uid and -Gid.", User ?? Container ?? $"{ProcessId}")));
        }
    }

    /// <summary>Starts a test when there is room for it, and writes the results that are there meanwhile.</summary>
    void Start(P11SocketEndpoint endpoint)
    {
        WriteUntil(ThrottleLimit - 1);
        var identity = new P11IdentityRequest(User, Uid, Gid, SupplementaryGroup, ProcessId, Container);
        var timeout = TimeSpan.FromSeconds(TimeoutSeconds);
        underWay++;
        _ = Task.Run(() => Services.Sockets.TestAsync(endpoint, identity, timeout, StopToken), CancellationToken.None)
            .ContinueWith(test => ended.Add((endpoint, test)), CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
    }

    /// <summary>Writes results as they come, until no more than some are still under way; and those that are there already.</summary>
    void WriteUntil(int stillUnderWay)
    {
        try
        {
            while (underWay > stillUnderWay || ended.Count > 0)
            {
                var (endpoint, test) = ended.Take(StopToken);
                underWay--;
                Write(endpoint, test);
            }
        }
        catch (OperationCanceledException) when (StopToken.IsCancellationRequested)
        {
            throw new PipelineStoppedException();
        }
    }

    void Write(P11SocketEndpoint endpoint, Task<P11SocketTest> task)
    {
        P11SocketTest test;
        try
        {
            test = task.GetAwaiter().GetResult();
        }
        catch (HsmRemoteException e)
        {
            // What is wrong with one socket says nothing of the next; what is wrong with the identity does.
            if (Equals(e.Target, endpoint.SocketPath))
                WriteError(ToErrorRecord(e));
            else
                ThrowTerminatingError(ToErrorRecord(e));
            return;
        }

        foreach (var check in test.Checks)
            WriteVerbose($"{check.Name}: {check.Status}: {check.Detail} ({check.Duration.TotalMilliseconds:F1} ms)");
        if (Quiet)
            WriteObject(test.Succeeded);
        else
            WriteObject(test);
    }
}
