using HsmRemote.Services.Native;

namespace HsmRemote.Services.Systemd;

/// <summary>The systemd of each scope, connected to when it is first needed. For one thread at a time.</summary>
sealed class SystemdManagers : IDisposable
{
    readonly Dictionary<P11KitServerScope, ISystemdManager> managers = [];

    /// <exception cref="HsmRemoteException">It cannot be reached.</exception>
    internal ISystemdManager this[P11KitServerScope scope] =>
        managers.TryGetValue(scope, out var manager) ? manager : managers[scope] = new SystemdManager(scope);

    /// <summary>The scopes in which the caller can have instances: without a systemd of the user's own, there are none of theirs.</summary>
    internal static IEnumerable<P11KitServerScope> Scopes =>
        FileStatus.TryRead(SystemBus.UserManagerSocket, out _) == 0 ? [P11KitServerScope.System, P11KitServerScope.User] : [P11KitServerScope.System];

    public void Dispose()
    {
        foreach (var manager in managers.Values)
            manager.Dispose();
    }
}
