namespace HsmRemote.Completers;

/// <summary>What completers look for that takes a while: a module may be slow, and an engine is asked in a process of its own.</summary>
static class Looks
{
    // For no TAB, but for the next one.
    static readonly TimeSpan Limit = TimeSpan.FromSeconds(5);

    internal static Glance<Pkcs11Token> Tokens { get; } = new(FindTokensAsync);

    /// <summary>The objects that are seen without a login.</summary>
    internal static Glance<Pkcs11Object> Objects { get; } = new(FindObjectsAsync);

    internal static Glance<string> Containers { get; } = new(_ => AskAsync(ServiceLoader.Services.Sockets.ContainersAsync));

    internal static Glance<string> Images { get; } = new(_ => AskAsync(ServiceLoader.Services.Containers.ImagesAsync));

    static Task<IReadOnlyList<Pkcs11Token>> FindTokensAsync(IReadOnlyDictionary<string, string> environment) => ServiceLoader.Services.Tokens.FindAsync(
        new Pkcs11TokenQuery { Timeout = Limit, Environment = environment }, new Silence(), CancellationToken.None);

    static async Task<IReadOnlyList<Pkcs11Object>> FindObjectsAsync(IReadOnlyDictionary<string, string> environment)
    {
        var query = new Pkcs11ObjectQuery { Timeout = Limit, Environment = environment };
        List<Pkcs11Object> found = [];
        foreach (var token in await FindTokensAsync(environment))
        {
            try
            {
                found.AddRange(await ServiceLoader.Services.Objects.FindAsync(token, query, new Silence(), CancellationToken.None));
            }
            catch (HsmRemoteException)
            {
                // The others' are something too.
            }
        }

        return found;
    }

    static async Task<IReadOnlyList<string>> AskAsync(Func<CancellationToken, Task<IReadOnlyList<string>>> ask)
    {
        using var limit = new CancellationTokenSource(Limit);
        return await ask(limit.Token);
    }

    sealed class Silence : IReporter
    {
        public void Verbose(string message)
        {
        }

        public void Started(string step)
        {
        }

        public void Ended(string step, string? outcome, TimeSpan duration)
        {
        }

        public void Warning(string message)
        {
        }

        public void Error(HsmRemoteException error)
        {
        }
    }
}
