using HsmRemote.Services.P11KitRpc;
using HsmRemote.Services.Sockets;

namespace HsmRemote.Services.Pkcs11;

/// <summary>A way to tokens: a module in this process, or the far side of a stream. One session at a time.</summary>
/// <remarks>Attributes are those of the wire in both. What a module in this process is asked is done when the call returns.</remarks>
interface ITokenAccess
{
    /// <summary>Every token that can be read.</summary>
    Task<IReadOnlyList<Pkcs11Token>> GetTokensAsync(CancellationToken cancellationToken);

    /// <summary>Opens a session that reads.</summary>
    Task OpenSessionAsync(ulong slotId, CancellationToken cancellationToken);

    /// <summary>Logs in as the token's user.</summary>
    Task LoginAsync(PinBytes pin, CancellationToken cancellationToken);

    /// <summary>Every object that a template selects, up to <see cref="RpcLimits.Objects"/>.</summary>
    Task<IReadOnlyList<ulong>> FindObjectsAsync(IReadOnlyList<RpcAttribute> template, CancellationToken cancellationToken);

    /// <summary>Attributes of an object, in the order asked for. Those that it has not, or does not give, have no value.</summary>
    Task<IReadOnlyList<RpcAttribute>> GetAttributesAsync(ulong handle, IReadOnlyList<uint> types, CancellationToken cancellationToken);
}
