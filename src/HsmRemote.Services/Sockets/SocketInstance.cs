using HsmRemote.Services.Native;
using HsmRemote.Services.Server;
using HsmRemote.Services.Systemd;

namespace HsmRemote.Services.Sockets;

/// <summary>The instance that a socket belongs to.</summary>
static class SocketInstance
{
    /// <summary>An endpoint with what the instance on its path, if there is one, says of it.</summary>
    internal static P11SocketEndpoint Complete(P11SocketEndpoint endpoint, P11Identity identity)
    {
        try
        {
            using var systemd = new SystemdManager();
            return Find(systemd, endpoint, identity, endpoint.SocketPath) is { } server
                ? P11SocketEndpoint.Of(server, endpoint.SocketPath)
                : endpoint;
        }
        catch (HsmRemoteException e) when (e.ErrorId is "SystemdUnavailable")
        {
            return endpoint;
        }
    }

    /// <summary>By its name, or by the path that it listens on: of what a process sees, the one that the host has mounted there.</summary>
    internal static P11KitServer? Find(ISystemdManager systemd, P11SocketEndpoint endpoint, P11Identity identity, string realPath)
    {
        if (endpoint.Name is { } name)
            return ServerInventory.Find(systemd, name, new NoReporter());
        var path = identity.ProcessId is { } process && realPath.Length > 0 ? MountTable.HostPath(process, realPath) : endpoint.SocketPath;
        return ServerInventory.List(systemd, new NoReporter()).FirstOrDefault(s => string.Equals(s.SocketPath, path, StringComparison.Ordinal));
    }
}
