using System.Security;

namespace HsmRemote.Services.Sockets;

/// <summary>Tests of sockets, from the side of the one who connects.</summary>
sealed class P11SocketService : IP11SocketService
{
    public async Task<P11SocketTest> TestAsync(
        P11SocketEndpoint endpoint, P11IdentityRequest identity, TimeSpan timeout, CancellationToken cancellationToken, P11Login? login = null)
    {
        var who = IdentityResolver.Resolve(identity);
        UnixSocketConnector.RequireUsable(endpoint.SocketPath);

        await using var ladder = new SocketLadder(endpoint, who, login, timeout);
        return await ladder.ClimbAsync(cancellationToken);
    }

    public SecureString ReadPin(string path) => PinFile.Read(path);
}
