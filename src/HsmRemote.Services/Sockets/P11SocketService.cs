using System.Security;
using HsmRemote.Services.Containers;

namespace HsmRemote.Services.Sockets;

/// <summary>Tests of sockets, from the side of the one who connects.</summary>
sealed class P11SocketService : IP11SocketService
{
    public async Task<P11SocketTest> TestAsync(
        P11SocketEndpoint endpoint, P11IdentityRequest identity, TimeSpan timeout, CancellationToken cancellationToken, P11Login? login = null)
    {
        var who = await IdentityResolver.ResolveAsync(identity, cancellationToken);
        Rung? addressFault = null;
        if (endpoint.SocketPath.Length == 0 && who.ProcessId is { } process)
        {
            var address = ProcessAddress.Read(who, process);
            endpoint = SocketInstance.Complete(endpoint with { SocketPath = address.SocketPath }, who);
            addressFault = address.Fault;
        }

        if (addressFault is null)
            UnixSocketConnector.RequireUsable(endpoint.SocketPath);
        await using var ladder = new SocketLadder(endpoint, who, login, timeout, addressFault);
        return await ladder.ClimbAsync(cancellationToken);
    }

    public SecureString ReadPin(string path) => PinFile.Read(path);

    public Task<IReadOnlyList<string>> ContainersAsync(CancellationToken cancellationToken) => ContainerEngine.RunningAsync(cancellationToken);
}
