namespace HsmRemote.SystemTests;

/// <summary>Debian 12 and 13, each in a sandbox that no other test uses, so that the whole of it can be compared.</summary>
/// <remarks>The tests of the collection that takes it run one after the other.</remarks>
public sealed class Distributions : IAsyncLifetime
{
    private readonly SandboxFixture _debian12 = new();
    private readonly Debian13Fixture _debian13 = new();

    /// <summary>The names of the distributions, for theories.</summary>
    public const string Debian12 = "Debian 12";

    public const string Debian13 = "Debian 13";

    public SandboxFixture this[string distribution] => distribution is Debian13 ? _debian13 : _debian12;

    public async ValueTask InitializeAsync()
    {
        await _debian12.InitializeAsync();
        await _debian13.InitializeAsync();
    }

    public async ValueTask DisposeAsync()
    {
        await _debian12.DisposeAsync();
        await _debian13.DisposeAsync();
    }
}

/// <summary>Debian 13, with its systemd 257 and p11-kit 0.25.5.</summary>
public sealed class Debian13Fixture : SandboxFixture
{
    protected override string? Root
    {
        get
        {
            // The first time, its packages are fetched.
            var made = CommandResult.Of(TimeSpan.FromMinutes(10), "", Path.Combine(RepositoryRoot, "tests", "debian13.sh"), []);
            return made.ExitCode == 0
                ? made.StdOut.Trim()
                : throw new InvalidOperationException($"Debian 13 could not be made: {made.StdErr.Trim()}");
        }
    }
}

[CollectionDefinition(nameof(Distributions))]
public sealed class DistributionsCollection : ICollectionFixture<Distributions>;
