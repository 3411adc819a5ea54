using HsmRemote.Services.Pkcs11;
using HsmRemote.Services.Sockets;

namespace HsmRemote.Services.P11KitRpc;

/// <summary>Tokens behind a connection. The session ends with it.</summary>
sealed class RpcTokenAccess(P11KitRpcClient client, string? socketPath) : ITokenAccess
{
    ulong session;

    public async Task<IReadOnlyList<Pkcs11Token>> GetTokensAsync(CancellationToken cancellationToken) =>
        (await RpcTokens.ReadAsync(client, cancellationToken, socketPath: socketPath)).Tokens;

    public async Task OpenSessionAsync(ulong slotId, CancellationToken cancellationToken) =>
        session = await client.OpenSessionAsync(slotId, cancellationToken);

    public Task LoginAsync(PinBytes pin, CancellationToken cancellationToken) => client.LoginAsync(session, pin.Span, cancellationToken);

    public Task<IReadOnlyList<ulong>> FindObjectsAsync(IReadOnlyList<RpcAttribute> template, CancellationToken cancellationToken) =>
        client.FindObjectsAsync(session, template, cancellationToken);

    public Task<IReadOnlyList<RpcAttribute>> GetAttributesAsync(ulong handle, IReadOnlyList<uint> types, CancellationToken cancellationToken) =>
        client.GetAttributeValueAsync(session, handle, types, cancellationToken);
}
