namespace HsmRemote.Services.Sockets;

/// <summary>Tests of sockets, from the side of the one who connects.</summary>
sealed class P11SocketService : IP11SocketService
{
    public async Task<P11SocketTest> TestAsync(
        P11SocketEndpoint endpoint, P11IdentityRequest identity, TimeSpan timeout, CancellationToken cancellationToken)
    {
        var who = IdentityResolver.Resolve(identity);
        UnixSocketConnector.RequireUsable(endpoint.SocketPath);

        await using var ladder = new SocketLadder(endpoint, who, timeout);
        return await ladder.ClimbAsync(cancellationToken);
    }
}
