using System.Diagnostics;
using System.Net.Sockets;
using System.Text;
using HsmRemote.Services.Forwarding;
using HsmRemote.Services.Native;
using HsmRemote.Services.P11KitRpc;
using HsmRemote.Services.Pkcs11;

namespace HsmRemote.Services.Sockets;

/// <summary>One climb: the checks in order, each resting on the last, to the first that fails.</summary>
sealed class SocketLadder : IAsyncDisposable
{
    readonly P11SocketEndpoint endpoint;
    readonly P11Identity identity;
    readonly TimeSpan timeout;
    readonly P11Login? login;
    readonly SocketCauses causes;
    readonly ForwardRungs? forward;
    readonly List<(P11SocketCheckName Name, Func<CancellationToken, Task<Rung>> Check)> rungs;

    readonly Rung? addressFault;
    readonly DateTimeOffset startedAt = DateTimeOffset.UtcNow;
    readonly ComputedAccess? computed;

    FileStatus status;
    string realPath = "";
    int? listenerProcess;
    Socket? socket;
    P11KitRpcClient? client;
    P11KitRpcException? notP11Kit;
    Pkcs11ErrorException? notInitialized;
    IReadOnlyList<Pkcs11Token> tokens = [];
    IReadOnlyList<Pkcs11Token> targets = [];
    IReadOnlyList<ulong> mechanisms = [];
    TokenSession? session;

    internal SocketLadder(
        P11SocketEndpoint endpoint, P11Identity identity, P11Login? login, TimeSpan timeout, Rung? addressFault = null, ForwardRungs? forward = null)
    {
        this.forward = forward;
        this.addressFault = addressFault;
        computed = IdentityThread.MayActAs(identity) ? null : new(identity);
        this.endpoint = endpoint;
        this.identity = identity;
        this.login = login;
        this.timeout = timeout;
        causes = new(endpoint, identity, timeout);
        rungs =
        [
            (P11SocketCheckName.Path, PathAsync),
            (P11SocketCheckName.SocketType, SocketTypeAsync),
            (P11SocketCheckName.Permission, PermissionAsync),
            (P11SocketCheckName.Connect, ConnectAsync),
            (P11SocketCheckName.Peer, PeerAsync),
            (P11SocketCheckName.Protocol, ProtocolAsync),
            (P11SocketCheckName.Initialize, InitializeAsync),
            (P11SocketCheckName.Slots, SlotsAsync),
            (P11SocketCheckName.Target, TargetAsync),
            (P11SocketCheckName.Login, LoginAsync),
            (P11SocketCheckName.Sign, SignAsync),
        ];
        if (forward is null)
            return;
        // One that was pushed is not on this host: it is connected to through the far side.
        if (forward.IsAway)
            rungs = [(P11SocketCheckName.Peer, AwayAsync), .. rungs.SkipWhile(rung => rung.Name != P11SocketCheckName.Protocol)];
        rungs.InsertRange(0, [(P11SocketCheckName.Tunnel, forward.TunnelAsync), (P11SocketCheckName.RemoteEnd, forward.RemoteEndAsync)]);
    }

    internal async Task<P11SocketTest> ClimbAsync(CancellationToken cancellationToken)
    {
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        deadline.CancelAfter(timeout);
        var started = Stopwatch.GetTimestamp();
        List<P11SocketCheck> checks = [];
        (P11SocketCheckName Name, Rung Rung)? failed = null;
        Rung? warning = null;
        // More may come on the way.
        for (var i = 0; i < rungs.Count; i++)
        {
            var (name, check) = rungs[i];
            if (failed is not null)
            {
                checks.Add(new(name, P11SocketCheckStatus.Skipped, failed.Value.Rung.Cause == P11SocketCause.IdentityNotPermitted ? failed.Value.Rung.Detail : $"not tried: {failed.Value.Name} failed", TimeSpan.Zero));
                continue;
            }

            var checkStarted = Stopwatch.GetTimestamp();
            var rung = await TryAsync(name, check, deadline.Token, cancellationToken);
            cancellationToken.ThrowIfCancellationRequested();
            if (rung.Status == P11SocketCheckStatus.Failed && forward is not { IsAway: true })
                rung = await HostDiagnosis.RefineAsync(rung, endpoint, identity, new(startedAt, timeout, realPath, status, listenerProcess), cancellationToken);
            checks.Add(new(name, rung.Status, rung.Detail, Stopwatch.GetElapsedTime(checkStarted)));
            if (rung.Status == P11SocketCheckStatus.Failed || rung.Cause == P11SocketCause.IdentityNotPermitted)
                failed = (name, rung);
            else if (rung.Cause != P11SocketCause.None)
                warning ??= rung;
        }

        var found = failed?.Rung ?? warning;
        var names = mechanisms.Select(Mechanism.Of).ToList();
        return new P11SocketTest
        {
            Name = endpoint.Name,
            SocketPath = endpoint.SocketPath,
            Identity = identity,
            Succeeded = failed is null,
            // What was not tried has not failed.
            FailedCheck = failed?.Rung.Cause == P11SocketCause.IdentityNotPermitted ? null : failed?.Name,
            Cause = found?.Cause ?? P11SocketCause.None,
            Explanation = found?.Explanation,
            Remedy = found?.Remedy,
            Tokens = tokens,
            Mechanisms = [.. names.Select(m => m.Name)],
            HiddenMechanisms = [.. names.Where(m => !m.IsAlwaysVisible).Select(m => new P11HiddenMechanism(m.Name, m.VisibleFrom))],
            Journal = failed?.Rung.Journal,
            ServerVersion = client?.Version,
            Duration = Stopwatch.GetElapsedTime(started),
            Checks = checks,
        };
    }

    public async ValueTask DisposeAsync()
    {
        if (client is not null)
            await client.DisposeAsync();
        socket?.Dispose();
        if (forward is not null)
            await forward.DisposeAsync();
    }

    /// <summary>What may go wrong at any rung, said in the same way for all.</summary>
    async Task<Rung> TryAsync(P11SocketCheckName name, Func<CancellationToken, Task<Rung>> check, CancellationToken deadline, CancellationToken cancellationToken)
    {
        try
        {
            return await check(deadline);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            return name == P11SocketCheckName.RemoteEnd ? causes.RemoteSilent() : causes.Silent();
        }
        catch (Pkcs11ErrorException e)
        {
            return causes.Pkcs11Error(e);
        }
        catch (P11KitRpcException e) when (e.Fault == RpcFault.Closed)
        {
            return name switch
            {
                P11SocketCheckName.RemoteEnd => causes.RemoteNotAnswering(e),
                P11SocketCheckName.Peer when forward is { IsAway: true } => forward.NotAnswering(e),
                P11SocketCheckName.Peer => causes.ClosedByPeer(e),
                _ => causes.ConnectionLost(e),
            };
        }
        catch (P11KitRpcException e)
        {
            return name == P11SocketCheckName.Protocol ? causes.NotP11Kit(e) : causes.MalformedReply(e);
        }
    }

    async Task<Rung> PathAsync(CancellationToken deadline)
    {
        if (addressFault is not null)
            return addressFault;
        switch (await ProbeAsync(probe => SocketPathWalk.Walk(probe, endpoint.SocketPath), deadline))
        {
            case PathWalkResult.Missing missing:
                return causes.PathMissing(missing);
            case PathWalkResult.Barred barred:
                return causes.DirectoryNotSearchable(barred);
            case PathWalkResult.Hidden hidden:
                return causes.IdentityNotPermitted($"not known: the caller may not look at {hidden.Path}");
            case PathWalkResult.Found found:
                (status, realPath) = (found.Status, found.RealPath);
                return new((string.Equals(realPath, endpoint.SocketPath, StringComparison.Ordinal) ? "it is there" : $"it is {realPath}") + ComputedOnly);
            case var other:
                throw new UnreachableException($"{other}");
        }
    }

    Task<Rung> SocketTypeAsync(CancellationToken deadline) =>
        Task.FromResult(status.IsSocket ? new Rung($"a socket, inode {status.Inode}") : causes.NotASocket(status));

    async Task<Rung> PermissionAsync(CancellationToken deadline)
    {
        var errno = await ProbeAsync(probe => probe.CanWrite(realPath), deadline);
        return errno switch
        {
            0 => new($"{status.Describe()} lets {identity} write{ComputedOnly}"),
            _ => HostCauses.WithAcl(causes.NotWritable(status), PosixAcl.Of(ProcessView.Reach(identity, realPath), status).MaskedOut(identity, status, PosixAcl.Write), realPath, ComputedOnly),
        };
    }

    string ComputedOnly => computed is null ? "" : " (computed, not tried)";

    /// <summary>Asks as the identity, or, where the caller may not take it on, computes what it would be told.</summary>
    Task<T> ProbeAsync<T>(Func<IPathProbe, T> ask, CancellationToken deadline) =>
        computed is null ? IdentityThread.RunAsync(identity, ask, deadline) : Task.FromResult(ask(computed));

    async Task<Rung> ConnectAsync(CancellationToken deadline)
    {
        if (computed is not null)
            return causes.IdentityNotPermitted("not tried: only root may connect as another");
        (socket, var errno) = await UnixSocketConnector.ConnectAsync(endpoint.SocketPath, identity, deadline);
        if (errno == 0 && IsSshd(UnixSocketConnector.Listener(socket!).ProcessId))
        {
            rungs.InsertRange(
                rungs.FindIndex(rung => rung.Name == P11SocketCheckName.Connect) + 1,
                [(P11SocketCheckName.Tunnel, SshdAsync), (P11SocketCheckName.RemoteEnd, PeerAsync)]);
        }

        return errno switch
        {
            0 => new("somebody listens"),
            Errno.EAGAIN => causes.NeverAccepted(),
            Errno.EACCES or Errno.EPERM => causes.RefusedBySecurityModule(),
            Errno.EPROTOTYPE => causes.AnotherKindOfSocket(),
            Errno.ENOENT or Errno.ENOTDIR => causes.PathMissing(new(endpoint.SocketPath, "it was removed meanwhile")),
            Errno.ECONNREFUSED => causes.NobodyListening(),
            _ => throw new HsmRemoteException(
                "ConnectFailed", FailureKind.Unavailable,
                $"Cannot connect to {endpoint.SocketPath}: {System.Runtime.InteropServices.Marshal.GetPInvokeErrorMessage(errno)}.",
                "connect(2) has what it means.", endpoint.SocketPath),
        };
    }

    /// <summary>Whether a socket was forwarded to this host: then sshd made it and listens on it. OpenSSH 9.8 has sessions in a program of their own.</summary>
    static bool IsSshd(int process) => ProcessView.CommandName(process) is "sshd" or "sshd-session";

    Task<Rung> SshdAsync(CancellationToken deadline)
    {
        var credentials = UnixSocketConnector.Listener(socket!);
        return Task.FromResult(new Rung($"{Describe(credentials)} forwards it from another host; the server there sees no other peer"));
    }

    async Task<Rung> AwayAsync(CancellationToken deadline)
    {
        client = await forward!.ConnectAsync(deadline);
        return new("sshd of the far side connects, and the server at this end answers");
    }

    async Task<Rung> PeerAsync(CancellationToken deadline)
    {
        // The other end of a tunnel has answered for it.
        if (client is not null || notP11Kit is not null)
            return new($"{Describe(UnixSocketConnector.Listener(socket!))} accepts");
        var credentials = UnixSocketConnector.Listener(socket!);
        listenerProcess = credentials.ProcessId;
        var listener = Describe(credentials);
        try
        {
            client = await P11KitRpcClient.ConnectAsync(new NetworkStream(socket!, ownsSocket: true), deadline);
        }
        catch (P11KitRpcException e) when (e.Fault == RpcFault.Malformed)
        {
            // It answered, so it did not refuse; what it is worth is the next check's to say.
            notP11Kit = e;
        }
        catch (OperationCanceledException)
        {
            return new($"{listener} neither refuses nor answers");
        }

        return new($"{listener} accepts");
    }

    async Task<Rung> ProtocolAsync(CancellationToken deadline)
    {
        if (notP11Kit is not null)
            return causes.NotP11Kit(notP11Kit);
        deadline.ThrowIfCancellationRequested();
        try
        {
            // An echo gives the right version: only a whole reply shows that p11-kit's protocol is spoken.
            await client!.InitializeAsync(deadline);
        }
        catch (Pkcs11ErrorException e)
        {
            notInitialized = e;
        }

        return new($"p11-kit RPC, version {client!.Version}");
    }

    async Task<Rung> InitializeAsync(CancellationToken deadline)
    {
        if (notInitialized is not null)
            return causes.Pkcs11Error(notInitialized);
        var info = await client!.GetInfoAsync(deadline);
        var library = Encoding.UTF8.GetString(info.LibraryDescription.AsSpan().TrimEnd(" \0"u8));
        return new($"{library} {info.LibraryVersion}, PKCS #11 {info.CryptokiVersion}");
    }

    async Task<Rung> SlotsAsync(CancellationToken deadline)
    {
        (tokens, var failures) = await RpcTokens.ReadAsync(client!, deadline, socketPath: endpoint.SocketPath);
        if (tokens.Count == 0)
            return failures.Count == 0 ? causes.NoSlots() : causes.Pkcs11Error(failures[0]);
        return new(Count(tokens.Count) + (failures.Count == 0 ? "" : $"; {failures.Count} more cannot be read ({failures[0].Name})"));
    }

    async Task<Rung> TargetAsync(CancellationToken deadline)
    {
        var rung = Target();
        if (rung.Status == P11SocketCheckStatus.Passed)
            mechanisms = await MechanismsAsync(deadline);
        return rung;
    }

    Rung Target()
    {
        var usable = tokens.Where(t => t.IsInitialized).ToList();
        targets = usable;
        if (endpoint.TargetUri is not { } uris)
            return usable.Count == 0 ? causes.NotInitialized(tokens.Count) : new($"no target is known; {Count(usable.Count)}: {Labels(usable)}");
        if (uris.Count == 0)
            return causes.NoTarget($"{Count(tokens.Count)} behind a server that has no target");

        targets = [.. usable.Where(t => uris.Any(uri => uri.Matches(t.Uri)))];
        if (uris.FirstOrDefault(uri => !usable.Exists(t => uri.Matches(t.Uri))) is { } missing)
        {
            return tokens.Any(t => missing.Matches(t.Uri))
                ? SocketCauses.TargetNotInitialized(missing)
                : causes.TargetNotFound(missing, TargetMismatch.Nearest(missing, tokens));
        }

        if (tokens.Where(t => !uris.Any(uri => uri.Matches(t.Uri))).ToList() is { Count: > 0 } stray)
            return causes.ExposesMore(Labels(stray), stray);
        return uris.FirstOrDefault(uri => usable.Count(t => uri.Matches(t.Uri)) > 1) is { } wide
            ? causes.SeveralMatches(wide, Labels(targets), [.. targets.Where(t => wide.Matches(t.Uri))])
            : new(Labels(targets));
    }

    /// <summary>The mechanisms of the tokens that are asked for; of one that does not say, none.</summary>
    async Task<IReadOnlyList<ulong>> MechanismsAsync(CancellationToken deadline)
    {
        SortedSet<ulong> found = [];
        foreach (var token in targets)
        {
            try
            {
                found.UnionWith(await client!.GetMechanismListAsync(token.SlotId, deadline));
            }
            catch (Pkcs11ErrorException)
            {
                // The list is of use to an application, and to no check here.
            }
        }

        return [.. found];
    }

    async Task<Rung> LoginAsync(CancellationToken deadline)
    {
        if (login is null)
            return NotAskedFor();
        session = new TokenSession(client!, login, endpoint);
        return await session.LoginAsync(targets, deadline);
    }

    Task<Rung> SignAsync(CancellationToken deadline) => session is null ? Task.FromResult(NotAskedFor()) : session.SignAsync(deadline);

    static Rung NotAskedFor() => new("not asked for") { Status = P11SocketCheckStatus.Skipped };

    static string Count(int tokens) => tokens == 1 ? "1 token" : $"{tokens} tokens";

    static string Labels(IEnumerable<Pkcs11Token> tokens) => string.Join(", ", tokens.Select(t => $"'{t.Label}'"));

    static string Describe((int ProcessId, uint UserId, uint GroupId) listener)
    {
        // One that has ended since, or lives in another PID namespace, has no name here; the numbers are what counts.
        var command = ProcessView.CommandName(listener.ProcessId);
        return $"{command ?? "the listener"} (pid={listener.ProcessId} uid={listener.UserId} gid={listener.GroupId})";
    }
}
