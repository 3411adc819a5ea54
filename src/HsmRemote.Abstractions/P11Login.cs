using System.Collections.Concurrent;
using System.Security;

namespace HsmRemote;

/// <summary>What to log in with, for all the tests of one run.</summary>
/// <param name="pin">The user PIN. It stays the caller's to dispose of.</param>
/// <param name="key">The private key to sign with; null: the only one.</param>
/// <param name="force">Also when the token says that one attempt is left.</param>
public sealed class P11Login(SecureString pin, Pkcs11Uri? key = null, bool force = false)
{
    readonly ConcurrentDictionary<Pkcs11Uri, Attempts> attempts = new();

    /// <summary>The user PIN.</summary>
    public SecureString Pin { get; } = pin;

    /// <summary>The private key to sign with, or null: the only one.</summary>
    public Pkcs11Uri? Key { get; } = key;

    /// <summary>Whether to log in also when the token says that one attempt is left.</summary>
    public bool Force { get; } = force;

    /// <summary>
    /// Makes an attempt, unless the token has refused this PIN before: several servers can lead to one token, and every
    /// wrong PIN brings it nearer to being locked.
    /// </summary>
    /// <param name="token">The token.</param>
    /// <param name="attempt">Logs in; its result is whether the PIN was taken.</param>
    /// <param name="cancellationToken">Ends the wait for another test's attempt on the same token.</param>
    /// <returns>Whether the attempt was made.</returns>
    public async Task<bool> TryOnceAsync(Pkcs11Uri token, Func<Task<bool>> attempt, CancellationToken cancellationToken)
    {
        var before = attempts.GetOrAdd(token, _ => new());
        await before.Turn.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            if (before.Refused)
                return false;
            // An attempt whose end is not known may have been a wrong one.
            before.Refused = true;
            before.Refused = !await attempt().ConfigureAwait(false);
            return true;
        }
        finally
        {
            before.Turn.Release();
        }
    }

    sealed class Attempts
    {
        // Has no handle to dispose of as long as nobody asks for one.
        internal SemaphoreSlim Turn { get; } = new(1);

        internal bool Refused { get; set; }
    }
}
