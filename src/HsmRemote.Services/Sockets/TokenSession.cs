using System.Security.Cryptography;
using HsmRemote.Services.P11KitRpc;
using HsmRemote.Services.Pkcs11;

namespace HsmRemote.Services.Sockets;

/// <summary>The proof that the key can be used: one login, one signature. The session ends with the connection.</summary>
sealed class TokenSession(P11KitRpcClient client, P11Login login, P11SocketEndpoint endpoint)
{
    const int ChallengeLength = 32;

    readonly TokenCauses causes = new(endpoint);
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
        if (token.Flags.HasFlag(Pkcs11TokenFlags.ProtectedAuthenticationPath))
            return causes.PinOnReader(token);
        if (!token.Flags.HasFlag(Pkcs11TokenFlags.UserPinInitialized))
            return TokenCauses.PinNotSet(token);
        if (token.Flags.HasFlag(Pkcs11TokenFlags.UserPinLocked))
            return TokenCauses.PinLocked(token, "its flags say so");
        if (token.Flags.HasFlag(Pkcs11TokenFlags.UserPinFinalTry) && !login.Force)
            return causes.PinFinalTry(token);

        session = await client.OpenSessionAsync(token.SlotId, deadline);
        Rung? refused = null;
        var tried = await login.TryOnceAsync(
            token.Uri,
            async () =>
            {
                refused = await AttemptAsync(deadline);
                return refused is null;
            },
            deadline);
        return tried ? refused ?? new($"logged in to '{token.Label}'") : TokenCauses.RefusedBefore(token);
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

    /// <summary>The one attempt; null when the token took the PIN.</summary>
    async Task<Rung?> AttemptAsync(CancellationToken deadline)
    {
        using var pin = new PinBytes(login.Pin);
        try
        {
            await client.LoginAsync(session, pin.Span, deadline);
            return null;
        }
        catch (Pkcs11ErrorException e) when (e.ReturnValue is ReturnValue.UserAlreadyLoggedIn)
        {
            return null;
        }
        catch (Pkcs11ErrorException e) when (e.ReturnValue is ReturnValue.PinIncorrect or ReturnValue.PinInvalid or ReturnValue.PinLengthRange)
        {
            return TokenCauses.PinIncorrect(token!, e, await FlagsAsync(deadline));
        }
        catch (Pkcs11ErrorException e) when (e.ReturnValue is ReturnValue.PinLocked)
        {
            return TokenCauses.PinLocked(token!, e.Name);
        }
        catch (Pkcs11ErrorException e) when (e.ReturnValue is ReturnValue.UserPinNotInitialized)
        {
            return TokenCauses.PinNotSet(token!);
        }
    }

    /// <summary>What the token says of itself after a wrong PIN.</summary>
    async Task<Pkcs11TokenFlags> FlagsAsync(CancellationToken deadline)
    {
        try
        {
            return (Pkcs11TokenFlags)(await client.GetTokenInfoAsync(token!.SlotId, deadline)).Flags;
        }
        catch (Pkcs11ErrorException)
        {
            // It is only a hint.
            return Pkcs11TokenFlags.None;
        }
    }
}
