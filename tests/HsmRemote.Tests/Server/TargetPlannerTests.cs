using System.Reflection;
using HsmRemote.Services.Server;
using HsmRemote.Services.Systemd;

namespace HsmRemote.Tests.Server;

/// <summary>What is asked before a target is set, and what is said of it. The files and systemd are those of the system tests.</summary>
public sealed class TargetPlannerTests : IDisposable
{
    readonly DirectoryInfo directory = Directory.CreateTempSubdirectory("hsmremote-tests-");
    readonly RecordingReporter reporter = new();

    string ConfigPath => Path.Combine(directory.FullName, "config.env");

    public void Dispose() => directory.Delete(recursive: true);

    [Fact]
    public async Task A_module_that_fails_is_a_warning_and_the_others_are_asked()
    {
        var tokens = new FakeTokens { Failure = new("ModuleTimedOut", FailureKind.Timeout, "The module 'slow' did not answer in 2 s.") };
        using var plan = await PlanAsync(tokens, new() { Name = "edge", Uri = [Edge], Timeout = TimeSpan.FromSeconds(2) });
        Assert.Equal(ChangeKind.CreateFile, Assert.Single(plan.Changes).Kind);
        Assert.Contains("'slow' did not answer", Assert.Single(reporter.Warnings), StringComparison.Ordinal);
        var query = Assert.Single(tokens.Queries);
        Assert.Equal((TimeSpan.FromSeconds(2), true, true), (query.Timeout, query.IncludeUninitialized, query.IncludeTrust));
        // What the server will see, and not what this program does; and a module that crashes does not end it.
        Assert.Equal(("remote", true), (query.Program, query.Isolated));
        // What it knows already it does not ask again.
        Assert.Equal("edge", Assert.Single(await plan.SelectedAsync(reporter, CancellationToken.None)).Label);
        Assert.Single(tokens.Queries);
    }

    [Fact]
    public async Task What_is_the_target_already_is_not_asked_for()
    {
        File.WriteAllText(ConfigPath, $"TARGET_PKCS11_URI=\"{Edge}\"\n");
        var tokens = new FakeTokens();
        using var plan = await PlanAsync(tokens, new() { Name = "edge", Uri = [Edge] });
        Assert.Empty(plan.Changes);
        Assert.Empty(tokens.Queries);
    }

    [Fact]
    public async Task Nonsense_in_the_target_can_be_replaced_and_not_added_to()
    {
        File.WriteAllText(ConfigPath, "TARGET_PKCS11_URI=\"pkcs11:token=a;;serial=9\"\n");
        using var plan = await PlanAsync(new FakeTokens(), new() { Name = "edge", Uri = [Edge], KeepConnections = true });
        Assert.Equal(ChangeKind.ReplaceFile, Assert.Single(plan.Changes).Kind);
        var error = await Assert.ThrowsAsync<HsmRemoteException>(() => PlanAsync(new FakeTokens(), new() { Name = "edge", Uri = [Edge], Change = P11TargetChange.Add }));
        Assert.Equal("TargetUriMalformed", error.ErrorId);
    }

    [Fact]
    public async Task A_server_that_does_not_answer_is_a_warning()
    {
        var tokens = new FakeTokens { SocketFailure = new("SocketUnreadable", FailureKind.Timeout, "No tokens can be read: no answer within 30 s.") };
        using var plan = await PlanAsync(tokens, new() { Name = "edge", Uri = [Edge] });
        Assert.Null(await plan.ExposedAsync(reporter, CancellationToken.None));
        Assert.Contains("The target is set", Assert.Single(reporter.Warnings), StringComparison.Ordinal);
    }

    static Pkcs11Uri Edge { get; } = Pkcs11Uri.Parse("pkcs11:model=M;token=edge");

    Task<IP11TargetPlan> PlanAsync(FakeTokens tokens, P11TargetRequest request)
    {
        var server = new P11KitServer
        {
            Name = "edge", State = P11KitServerState.Listening, Mode = P11KitServerMode.PerConnection, IsManaged = true, Enabled = true,
            SocketPath = "/run/edge/pkcs11", TargetUri = [], ConfigPath = ConfigPath, Unit = "edge.socket", ServiceUnit = "edge@.service",
        };
        var systemd = DispatchProxy.Create<ISystemdManager, NoSystemd>();
        return new TargetPlanner(tokens, request, server, TargetFile.Read("edge", ConfigPath)).PlanAsync(systemd, systemd, reporter, CancellationToken.None);
    }

    /// <summary>Is disposed of, and nothing else.</summary>
    public class NoSystemd : DispatchProxy
    {
        protected override object? Invoke(MethodInfo? targetMethod, object?[]? args) =>
            targetMethod?.Name is nameof(IDisposable.Dispose) ? null : throw new NotSupportedException(targetMethod?.Name);
    }

    /// <summary>One token, in a module or behind a socket.</summary>
    sealed class FakeTokens : IPkcs11TokenService
    {
        internal HsmRemoteException? Failure { get; init; }

        internal HsmRemoteException? SocketFailure { get; init; }

        internal List<Pkcs11TokenQuery> Queries { get; } = [];

        public Task<IReadOnlyList<Pkcs11Token>> FindAsync(Pkcs11TokenQuery query, IReporter reporter, CancellationToken cancellationToken)
        {
            Queries.Add(query);
            if (query.SocketPath is not null && SocketFailure is not null)
                throw SocketFailure;
            if (Failure is not null)
                reporter.Error(Failure);
            return Task.FromResult<IReadOnlyList<Pkcs11Token>>([TestTokens.Make("edge", "M", "")]);
        }

        public Task<IReadOnlyList<Pkcs11Token>> WaitAsync(
            Pkcs11TokenQuery query, Func<IReadOnlyList<Pkcs11Token>, bool> enough, IReporter reporter, CancellationToken cancellationToken) =>
            throw new NotSupportedException();

        public IReadOnlyList<string> ModuleNames() => [];
    }
}
