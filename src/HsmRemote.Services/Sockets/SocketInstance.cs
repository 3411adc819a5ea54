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
            using var managers = new SystemdManagers();
            return Find(managers, endpoint, identity, endpoint.SocketPath) is { } server
                ? P11SocketEndpoint.Of(server, endpoint.SocketPath)
                : endpoint;
        }
        catch (HsmRemoteException e) when (e.ErrorId is "SystemdUnavailable")
        {
            return endpoint;
        }
    }

    /// <summary>By its name, or by the path that it listens on: of what a process sees, the one that the host has mounted there.</summary>
    internal static P11KitServer? Find(SystemdManagers managers, P11SocketEndpoint endpoint, P11Identity identity, string realPath)
    {
        if (endpoint.Name is { } name)
        {
            var named = ServerInventory.Find(managers, name, new NoReporter());
            return named.FirstOrDefault(s => string.Equals(s.SocketPath, endpoint.SocketPath, StringComparison.Ordinal)) ?? (named.Count > 0 ? named[0] : null);
        }

        var path = identity.ProcessId is { } process && realPath.Length > 0 ? MountTable.HostPath(process, realPath) : endpoint.SocketPath;
        return ServerInventory.List(managers, new NoReporter()).FirstOrDefault(s => string.Equals(s.SocketPath, path, StringComparison.Ordinal));
    }
}
