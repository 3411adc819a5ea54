namespace HsmRemote.Services.Sockets;

/// <summary>Tests of sockets, from the side of the one who connects.</summary>
sealed class P11SocketService(IServerLookup servers) : IP11SocketService
{
    public async Task<P11SocketTest> TestAsync(
        string? name, string? socketPath, P11IdentityRequest identity, TimeSpan timeout, CancellationToken cancellationToken)
    {
        var who = IdentityResolver.Resolve(identity);
        var endpoint = name is null
            ? new ServerEndpoint(null, socketPath ?? throw new ArgumentNullException(nameof(socketPath), "A name or a path is needed."), null)
            : await servers.FindAsync(name, cancellationToken);
        endpoint = endpoint with { SocketPath = Path.GetFullPath(socketPath ?? endpoint.SocketPath) };
        UnixSocketConnector.RequireUsable(endpoint.SocketPath);

        await using var ladder = new SocketLadder(endpoint, who, timeout);
        return await ladder.ClimbAsync(cancellationToken);
    }
}
