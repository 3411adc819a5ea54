using HsmRemote.Services.Pkcs11;

namespace HsmRemote.Services.Sockets;

/// <summary>A login of the token's user: one attempt at most, and none when the token's flags speak against it.</summary>
sealed class TokenLogin(P11Login login, TokenCauses causes)
{
    /// <summary>Logs in.</summary>
    /// <param name="token">The token, with the flags that it has now.</param>
    /// <param name="attempt">C_Login.</param>
    /// <param name="flags">Asks the token for its flags again, after a wrong PIN.</param>
    /// <param name="cancellationToken">Ends the wait for another attempt on the same token.</param>
    /// <returns>Null when it is logged in, or else what is in the way.</returns>
    internal async Task<Rung?> TryAsync(Pkcs11Token token, Func<PinBytes, Task> attempt, Func<Task<Pkcs11TokenFlags>> flags, CancellationToken cancellationToken)
    {
        if (token.Flags.HasFlag(Pkcs11TokenFlags.ProtectedAuthenticationPath))
            return causes.PinOnReader(token);
        if (!token.Flags.HasFlag(Pkcs11TokenFlags.UserPinInitialized))
            return TokenCauses.PinNotSet(token);
        if (token.Flags.HasFlag(Pkcs11TokenFlags.UserPinLocked))
            return TokenCauses.PinLocked(token, "its flags say so");
        if (token.Flags.HasFlag(Pkcs11TokenFlags.UserPinFinalTry) && !login.Force)
            return causes.PinFinalTry(token);

        Rung? refused = null;
        var tried = await login.TryOnceAsync(
            token.Uri,
            async () =>
            {
                refused = await AttemptAsync(token, attempt, flags);
                return refused is null;
            },
            cancellationToken);
        return tried ? refused : TokenCauses.RefusedBefore(token);
    }

    /// <summary>The one attempt; null when the token took the PIN.</summary>
    async Task<Rung?> AttemptAsync(Pkcs11Token token, Func<PinBytes, Task> attempt, Func<Task<Pkcs11TokenFlags>> flags)
    {
        using var pin = new PinBytes(login.Pin);
        try
        {
            await attempt(pin);
            return null;
        }
        catch (Pkcs11ErrorException e) when (e.ReturnValue is ReturnValue.UserAlreadyLoggedIn)
        {
            return null;
        }
        catch (Pkcs11ErrorException e) when (e.ReturnValue is ReturnValue.PinIncorrect or ReturnValue.PinInvalid or ReturnValue.PinLengthRange)
        {
            return TokenCauses.PinIncorrect(token, e, await HintAsync(flags));
        }
        catch (Pkcs11ErrorException e) when (e.ReturnValue is ReturnValue.PinLocked)
        {
            return TokenCauses.PinLocked(token, e.Name);
        }
        catch (Pkcs11ErrorException e) when (e.ReturnValue is ReturnValue.UserPinNotInitialized)
        {
            return TokenCauses.PinNotSet(token);
        }
    }

    static async Task<Pkcs11TokenFlags> HintAsync(Func<Task<Pkcs11TokenFlags>> flags)
    {
        try
        {
            return await flags();
        }
        catch (Pkcs11ErrorException)
        {
            // It is only a hint.
            return Pkcs11TokenFlags.None;
        }
    }
}
