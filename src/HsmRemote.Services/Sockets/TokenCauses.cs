using HsmRemote.Services.Pkcs11;

namespace HsmRemote.Services.Sockets;

/// <summary>Every way in which logging in and signing fails, in words. A PIN is in none of them.</summary>
/// <param name="command">The command that was run, without its PIN, for remedies.</param>
sealed class TokenCauses(string command)
{
    internal Rung KeyTokenNotFound(Pkcs11Uri key) => new(
        "no token that -KeyUri names",
        P11SocketCause.KeyNotFound,
        $"The key {key} is in a token that this server does not expose, or that its target does not ask for.",
        $"See which tokens are there: `({command}).Tokens`, and take the key's URI from `p11tool --list-privkeys --login URL`.");

    internal Rung SeveralTokens(IReadOnlyList<Pkcs11Token> tokens) => new(
        $"{tokens.Count} tokens, none named: no attempt",
        P11SocketCause.SeveralMatches,
        $"There are {tokens.Count} tokens to log in to: {string.Join(", ", tokens)}. A PIN is tried on one token only, because a wrong one costs an attempt.",
        $"Name the one that is meant: `{command} -PinPath FILE -KeyUri '{tokens[0]}'`.");

    internal Rung PinOnReader(Pkcs11Token token) => new(
        "the PIN is typed on the reader: no attempt",
        P11SocketCause.PinOnReader,
        $"The token '{token.Label}' takes its PIN on its own keypad or that of its reader (CKF_PROTECTED_AUTHENTICATION_PATH). A PIN that is given here would not be used.",
        $"Leave the PIN out: `{command}`, and use the key on the host, where the keypad is.");

    internal static Rung PinNotSet(Pkcs11Token token) => new(
        "the token has no user PIN",
        P11SocketCause.PinNotSet,
        $"The token '{token.Label}' has no user PIN yet (CKR_USER_PIN_NOT_INITIALIZED). It was initialised, and its user PIN never set by the security officer.",
        $"Set it on the host: `p11tool --initialize-pin '{token.Uri}'`.");

    internal Rung PinFinalTry(Pkcs11Token token) => new(
        "one attempt is left: none made without -Force",
        P11SocketCause.PinFinalTry,
        $"The token '{token.Label}' says that one attempt is left (CKF_USER_PIN_FINAL_TRY). A wrong PIN now would lock it, so none was tried.",
        $"If the PIN is certainly the right one: `{command} -PinPath FILE -Force`. A login that succeeds gives all attempts back.");

    internal static Rung PinLocked(Pkcs11Token token, string how) => new(
        $"the PIN is locked: {how}",
        P11SocketCause.PinLocked,
        $"The user PIN of the token '{token.Label}' is locked ({how}). Too many wrong PINs were given, by whomever, and it takes none any more.",
        $"The security officer sets a new one on the host: `p11tool --initialize-pin '{token.Uri}'`. A YubiKey: `ykman piv access unblock-pin`.");

    internal static Rung PinIncorrect(Pkcs11Token token, Pkcs11ErrorException error, Pkcs11TokenFlags flags) => new(
        $"{error.Name}; {Left(flags)}",
        P11SocketCause.PinIncorrect,
        $"The token '{token.Label}' does not take this PIN ({error.Name}); {Left(flags)}. It is another token's PIN, or was changed.",
        "Do not guess. See how many attempts are left with the token's own tool (`ykman piv info`, `pkcs11-tool --list-slots`) before the next one.");

    internal static Rung RefusedBefore(Pkcs11Token token) => new(
        "refused before in this run: no attempt",
        P11SocketCause.PinIncorrect,
        $"An attempt with this PIN has failed on the token '{token.Label}' in this run already. A second one would cost another attempt, so none was made.",
        "See the result for the first server that leads to this token.");

    internal static Rung KeyNotFound(Pkcs11Token token, Pkcs11Uri? key) => new(
        key is null ? "no private key" : "no private key that -KeyUri names",
        P11SocketCause.KeyNotFound,
        key is null
            ? $"The token '{token.Label}' holds no private key. None was made or imported yet, or this user may not see it."
            : $"The token '{token.Label}' holds no private key that matches {key}. Its id or its label is another one.",
        $"See its keys on the host: `p11tool --login --list-privkeys '{token.Uri}'`.");

    internal Rung KeyAmbiguous(Pkcs11Token token, IReadOnlyList<PrivateKey> keys) => new(
        $"{keys.Count} private keys, none named",
        P11SocketCause.KeyAmbiguous,
        $"The token '{token.Label}' holds {keys.Count} private keys that fit: {string.Join(", ", keys.Select(k => k.Uri))}. Which one the application uses is not known here.",
        $"Name it: `{command} -PinPath FILE -KeyUri '{keys[0].Uri}'`.");

    internal Rung KeyUnsupported(PrivateKey key, string type) => new(
        "a key of a type that is not verified here",
        P11SocketCause.KeyUnsupported,
        $"The key {key.Uri} is of a type whose signatures are not verified here ({type}). Without verifying them, nothing would be proved.",
        $"Name an RSA or EC key: `{command} -PinPath FILE -KeyUri URI`, or test without a PIN.");

    internal static Rung PublicKeyNotFound(PrivateKey key) => new(
        "neither a public key nor a certificate that fits",
        P11SocketCause.PublicKeyNotFound,
        $"There is no public key and no certificate with the id of {key.Uri} that can be read. Without it, no signature can be verified.",
        "Write one of them to the token, with the id of the private key: `p11tool --login --write --load-certificate FILE --id ID URL`.");

    internal Rung MechanismRefused(PrivateKey key, string mechanism, Pkcs11ErrorException error) => new(
        $"{mechanism}: {error.Name}",
        P11SocketCause.MechanismRefused,
        $"The token does not sign with {mechanism} and the key {key.Uri}: {error.Function} failed with {error.Name}. "
        + (error.ReturnValue == ReturnValue.UserNotLoggedIn
            ? "The key wants the PIN for every single signature (CKA_ALWAYS_AUTHENTICATE), which is not done here."
            : "The key was made for something else, or the token does not have the mechanism."),
        $"See what the key is for: `p11tool --login --list-privkeys '{key.Uri}'`, and what the token can: `({command}).Mechanisms`.");

    internal static Rung SignatureInvalid(PrivateKey key, string mechanism, string source) => new(
        $"the signature does not fit the {source}",
        P11SocketCause.SignatureInvalid,
        $"The token signed with {mechanism}, and the signature does not verify with the {source} that has the id of {key.Uri}. "
        + $"The {source} is another key's, left from before the key was made anew, or the token is damaged.",
        $"See both on the host: `p11tool --login --list-all '{key.Uri.ToTokenUri()}'`, and write the right {source} again.");

    static string Left(Pkcs11TokenFlags flags) =>
        flags.HasFlag(Pkcs11TokenFlags.UserPinLocked) ? "the PIN is locked now"
        : flags.HasFlag(Pkcs11TokenFlags.UserPinFinalTry) ? "one attempt is left"
        : flags.HasFlag(Pkcs11TokenFlags.UserPinCountLow) ? "a few attempts are left, more than one"
        : "the token does not say how many attempts are left";
}
