using HsmRemote.Services.Sockets;
using HsmRemote.Services.Systemd;

namespace HsmRemote.Services.Server;

/// <summary>Where the instances of this host listen.</summary>
sealed class ServerLookup : IServerLookup
{
    public Task<ServerEndpoint> FindAsync(string name, CancellationToken cancellationToken) => Task.Run(
        () =>
        {
            using var systemd = new SystemdManager();
            var server = P11KitServerService.Find(systemd, name, new NoReporter());
            return server.SocketPath is { } path
                ? new ServerEndpoint(name, path, server.ConfigPath is null ? null : server.TargetUri)
                : throw new HsmRemoteException(
                    "SocketUnknown", FailureKind.InvalidOperation, $"The units of '{name}' do not say where it listens ({server.UnitPath}).",
                    "Give the socket itself, with -SocketPath.", name);
        },
        cancellationToken);
}
