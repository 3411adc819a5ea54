using System.Security;
using HsmRemote.Services.Containers;
using HsmRemote.Services.Forwarding;
using HsmRemote.Services.Server;
using HsmRemote.Services.Systemd;

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
        // By its path alone: whoever names an instance means its socket.
        var pulled = endpoint.Name is null && who.ProcessId is null
            ? ForwardInventory.Settings().FirstOrDefault(f => f.Direction == P11ForwardDirection.Pull && string.Equals(f.SocketPath, endpoint.SocketPath, StringComparison.Ordinal))
            : null;
        await using var ladder = new SocketLadder(endpoint, who, login, timeout, addressFault, pulled is null ? null : new ForwardRungs(pulled));
        return await ladder.ClimbAsync(cancellationToken);
    }

    /// <summary>The same for a forward, whose socket may be on the far side.</summary>
    internal static async Task<P11SocketTest> TestAsync(ForwardSettings forward, TimeSpan timeout, P11Login? login, CancellationToken cancellationToken)
    {
        var who = await IdentityResolver.ResolveAsync(new P11IdentityRequest(), cancellationToken);
        await using var ladder = new SocketLadder(Endpoint(forward), who, login, timeout, forward: new ForwardRungs(forward));
        return await ladder.ClimbAsync(cancellationToken);
    }

    /// <summary>Of one that was pushed, the tokens are those of the instance here.</summary>
    static P11SocketEndpoint Endpoint(ForwardSettings forward)
    {
        if (forward.ServerName is null)
            return new(null, forward.MadePath);
        using var managers = new SystemdManagers();
        var servers = ServerInventory.Find(managers, forward.ServerName, new NoReporter());
        return new(null, forward.MadePath, servers.FirstOrDefault(s => string.Equals(s.SocketPath, forward.SocketPath, StringComparison.Ordinal))?.TargetUri);
    }

    public SecureString ReadPin(string path) => PinFile.Read(path);

    public Task<IReadOnlyList<string>> ContainersAsync(CancellationToken cancellationToken) => ContainerEngine.RunningAsync(cancellationToken);
}
