using System.Security.Cryptography;
using HsmRemote.Services.P11KitRpc;
using HsmRemote.Services.Pkcs11;

namespace HsmRemote.Services.Sockets;

/// <summary>The proof that the key can be used: one login, one signature. The session ends with the connection.</summary>
sealed class TokenSession(P11KitRpcClient client, P11Login login, P11SocketEndpoint endpoint)
{
    const int ChallengeLength = 32;

    readonly TokenCauses causes = new(endpoint.Name is null ? $"Test-P11Socket -SocketPath {endpoint.SocketPath}" : $"Test-P11Socket {endpoint.Name}");
    Pkcs11Token? token;
    ulong session;

    /// <summary>Logs in to the one token that is meant, unless its flags speak against an attempt.</summary>
    internal async Task<Rung> LoginAsync(IReadOnlyList<Pkcs11Token> targets, CancellationToken deadline)
    {
        var named = login.Key?.ToTokenUri();
        var meant = targets.Where(t => named is null || named.Matches(t.Uri)).ToList();
        if (meant is not [var only])
            return meant.Count == 0 ? causes.KeyTokenNotFound(login.Key!) : causes.SeveralTokens(meant);

        token = only;
        session = await client.OpenSessionAsync(token.SlotId, deadline);
        return await new TokenLogin(login, causes).TryAsync(
            token,
            pin => client.LoginAsync(session, pin.Span, deadline),
            async () => (Pkcs11TokenFlags)(await client.GetTokenInfoAsync(token.SlotId, deadline)).Flags,
            deadline) ?? new($"logged in to '{token.Label}'");
    }

    /// <summary>Has a random challenge signed, and verifies the signature with the public half.</summary>
    internal async Task<Rung> SignAsync(CancellationToken deadline)
    {
        var keys = await PrivateKey.FindAsync(client, session, token!, login.Key, deadline);
        if (keys is not [var key])
            return keys.Count == 0 ? TokenCauses.KeyNotFound(token!, login.Key) : causes.KeyAmbiguous(token!, keys);
        if (SignatureMechanism.Choose(key.Type, await client.GetMechanismListAsync(token!.SlotId, deadline)) is not { } mechanism)
            return causes.KeyUnsupported(key, key.IsEdwards ? "Ed25519 or Ed448, which .NET cannot verify, and CKM_EDDSA is hidden by every p11-kit-client.so" : $"type {key.Type}");
        if (await PublicKey.FindAsync(client, session, key, deadline) is not { } publicKey)
            return TokenCauses.PublicKeyNotFound(key);

        using (publicKey)
        {
            var challenge = RandomNumberGenerator.GetBytes(ChallengeLength);
            byte[] signature;
            try
            {
                signature = await client.SignAsync(session, mechanism.Type, key.Handle, mechanism.Input(challenge), deadline);
            }
            catch (Pkcs11ErrorException e) when (e.ReturnValue is ReturnValue.MechanismInvalid or ReturnValue.MechanismParamInvalid or ReturnValue.KeyTypeInconsistent
                or ReturnValue.KeyFunctionNotPermitted or ReturnValue.KeySizeRange or ReturnValue.UserNotLoggedIn)
            {
                return causes.MechanismRefused(key, mechanism.Name, e);
            }

            return publicKey.Verifies(challenge, signature)
                ? new($"'{key.Label}' signs with {mechanism.Name}; verified with its {publicKey.Source}")
                : TokenCauses.SignatureInvalid(key, mechanism.Name, publicKey.Source);
        }
    }
}
