using HsmRemote.Services.P11Kit;
using HsmRemote.Services.Pkcs11;

namespace HsmRemote.Services.P11KitRpc;

/// <summary>Every token behind a connection.</summary>
static class RpcTokens
{
    /// <summary>Reads the tokens in slot order.</summary>
    /// <param name="client">An initialised client.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <param name="module">The module that is known to be on the far side.</param>
    /// <param name="socketPath">The socket that the connection goes to.</param>
    /// <returns>The tokens, and why others could not be read: one bad reader must not hide the rest.</returns>
    internal static async Task<(IReadOnlyList<Pkcs11Token> Tokens, IReadOnlyList<Pkcs11ErrorException> Failures)> ReadAsync(
        P11KitRpcClient client, CancellationToken cancellationToken, ModuleEntry? module = null, string? socketPath = null)
    {
        List<Pkcs11Token> tokens = [];
        List<Pkcs11ErrorException> failures = [];
        foreach (var slotId in await client.GetSlotListAsync(tokenPresent: true, cancellationToken))
        {
            try
            {
                var slot = await client.GetSlotInfoAsync(slotId, cancellationToken);
                var token = await client.GetTokenInfoAsync(slotId, cancellationToken);
                tokens.Add(token.ToToken(slotId, slot, module, socketPath));
            }
            catch (Pkcs11ErrorException e) when (e.ReturnValue == ReturnValue.TokenNotPresent)
            {
                // Pulled out since the list was made.
            }
            catch (Pkcs11ErrorException e)
            {
                failures.Add(e);
            }
        }

        return (tokens, failures);
    }
}
