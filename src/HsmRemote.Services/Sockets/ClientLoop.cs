using HsmRemote.Services.P11Kit;
using HsmRemote.Services.Server;
using HsmRemote.Services.Systemd;

namespace HsmRemote.Services.Sockets;

/// <summary>A module of this host's p11-kit that leads a server back to its own socket.</summary>
sealed record ClientLoop(string Module, string How)
{
    // What enable-in and disable-in call the process that serves a connection: its argv[0], which depends on who starts it.
    const string RemoteCommand = "remote";
    const string ServerChild = "p11-kit-remote";
    const string Client = "p11-kit-client.so";

    /// <summary>The first one; null when there is none.</summary>
    internal static ClientLoop? Find(P11KitServer server, UnitProperties? service)
    {
        foreach (var module in ModuleConfiguration.Read(server.Mode != P11KitServerMode.Daemon ? RemoteCommand : ServerChild))
        {
            if (module.Remote is { } remote && IsOf(server, remote))
                return new(module.Name, $"which is 'remote: {remote}', the server's own socket");
            if (module.Path is { } path && Path.GetFileName(path) is Client && service is not null && ServiceEnvironment.Of(server.Name, service)[ProcessAddress.Variable] is { } address && IsOf(server, address))
                return new(module.Name, $"which is {Client}, and the unit's environment has {ProcessAddress.Variable}={address}");
        }

        return null;
    }

    static bool IsOf(P11KitServer server, string address) => string.Equals(ProcessAddress.Decode(address), server.SocketPath, StringComparison.Ordinal);
}
