namespace HsmRemote;

/// <summary>Which objects to look for. The token itself does the filtering; an empty list lets everything through.</summary>
public sealed record Pkcs11ObjectQuery
{
    /// <summary>Only objects of one of these classes.</summary>
    public IReadOnlyList<Pkcs11ObjectClass> Classes { get; init; } = [];

    /// <summary>Only objects with one of these labels, byte for byte.</summary>
    public IReadOnlyList<byte[]> Labels { get; init; } = [];

    /// <summary>Only objects with one of these ids.</summary>
    public IReadOnlyList<byte[]> Ids { get; init; } = [];

    /// <summary>What to log in with; null: no login, and private objects are not seen. Its key does not count.</summary>
    public P11Login? Login { get; init; }

    /// <summary>The module in a process of its own, as in <see cref="Pkcs11TokenQuery.Isolated"/>.</summary>
    public bool Isolated { get; init; }

    /// <summary>How long one token may take.</summary>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>The environment for the modules, as in <see cref="Pkcs11TokenQuery.Environment"/>.</summary>
    public IReadOnlyDictionary<string, string> Environment { get; init; } = new Dictionary<string, string>(StringComparer.Ordinal);

    /// <summary>What a URI says of an object: its type, its label, its id.</summary>
    public static Pkcs11ObjectQuery Of(Pkcs11Uri uri)
    {
        ArgumentNullException.ThrowIfNull(uri);
        return new()
        {
            Classes = uri.Type switch
            {
                null => [],
                "cert" => [Pkcs11ObjectClass.Certificate],
                "public" => [Pkcs11ObjectClass.PublicKey],
                "private" => [Pkcs11ObjectClass.PrivateKey],
                "secret-key" => [Pkcs11ObjectClass.SecretKey],
                // 'data': a URI has no other type.
                _ => [Pkcs11ObjectClass.Data],
            },
            Labels = uri.Value("object") is { } label ? [label] : [],
            Ids = uri.Value("id") is { } id ? [id] : [],
        };
    }
}

/// <summary>Finds what is in tokens.</summary>
public interface IPkcs11ObjectService
{
    /// <summary>Lists objects of a token, from where the token was read: its module, or a socket.</summary>
    /// <exception cref="HsmRemoteException">The token is gone, does not answer in time, or does not take the PIN.</exception>
    Task<IReadOnlyList<Pkcs11Object>> FindAsync(Pkcs11Token token, Pkcs11ObjectQuery query, IReporter reporter, CancellationToken cancellationToken);

    /// <summary>What is missing for a file to have a content. Its mode and owner stay; a new one is the caller's, 0644.</summary>
    /// <param name="path">The file's absolute path.</param>
    /// <param name="content">All of its content.</param>
    /// <exception cref="HsmRemoteException">There can be no such file.</exception>
    IChangePlan PlanExport(string path, string content);
}
