namespace HsmRemote.Services.Sockets;

/// <summary>Where an instance listens and what it is to expose.</summary>
/// <param name="Name">The instance, or null for a bare socket.</param>
/// <param name="SocketPath">The socket.</param>
/// <param name="TargetUri">The tokens that it is to expose; empty: none; null: nobody knows.</param>
sealed record ServerEndpoint(string? Name, string SocketPath, IReadOnlyList<Pkcs11Uri>? TargetUri);

/// <summary>Finds instances by name.</summary>
interface IServerLookup
{
    /// <summary>Finds the instance of that name.</summary>
    /// <exception cref="HsmRemoteException">There is none, or its units do not say where it listens.</exception>
    Task<ServerEndpoint> FindAsync(string name, CancellationToken cancellationToken);
}
