namespace HsmRemote.SystemTests;

/// <summary>A sandbox for one class alone, whose tests would disturb those of the others.</summary>
public sealed class OwnSandbox : IAsyncLifetime
{
    internal SandboxFixture Fixture { get; } = new();

    public ValueTask InitializeAsync() => Fixture.InitializeAsync();

    public ValueTask DisposeAsync() => Fixture.DisposeAsync();
}
