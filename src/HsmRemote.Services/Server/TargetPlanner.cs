using HsmRemote.Services.Plan;
using HsmRemote.Services.Sockets;
using HsmRemote.Services.Systemd;

namespace HsmRemote.Services.Server;

/// <summary>The way to a target: which URIs it has, whether they select what they are to, and what has to be changed.</summary>
sealed class TargetPlanner(IPkcs11TokenService tokens, P11TargetRequest request, P11KitServer server, ITargetPlace place)
{
    IReadOnlyList<Pkcs11Token>? live;

    Pkcs11TokenQuery Query => TargetSelection.Live(new() { Timeout = request.Timeout, Environment = request.Environment }, ClientLoop.ProgramOf(server));

    /// <summary>Plans the changes.</summary>
    /// <param name="systemd">The systemd of the instance.</param>
    /// <param name="connections">What ends with the plan.</param>
    /// <param name="reporter">Told what the administrator should know.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <exception cref="HsmRemoteException">
    /// The server would misread a URI, or one does not select the token that it is to; nothing has been changed.
    /// </exception>
    internal async Task<IP11TargetPlan> PlanAsync(
        ISystemdManager systemd, IDisposable connections, IReporter reporter, CancellationToken cancellationToken)
    {
        var given = request.Uri.Select(uri => TargetUriPolicy.Apply(uri, reporter)).ToList();
        // What is to be replaced may be nonsense; what is to be kept may not.
        var before = request.Change == P11TargetChange.Set ? [] : place.Uris();
        var target = request.Change switch
        {
            P11TargetChange.Remove => await RemoveAsync(before, given, reporter, cancellationToken),
            P11TargetChange.Add => [.. before, .. await ChooseAsync([.. given.Where(uri => !before.Any(old => old.Covers(uri)))], reporter, cancellationToken)],
            _ => await ChooseAsync(given, reporter, cancellationToken),
        };

        List<PlanStep> steps = [.. place.Steps(target, server.Scope)];
        if (steps.Count > 0)
        {
            if (server.Mode == P11KitServerMode.PerConnection)
            {
                // The next connection reads the target.
                if (!request.KeepConnections && !place.IsCoveredBy(target))
                    AddEndOfConnections(systemd, steps);
            }
            else if (systemd.Load(server.ServiceUnit)?.Text("ActiveState") is "active" or "activating")
            {
                // A service for all connections has read its target at its start. One of ours leaves the socket alone.
                if (server.IsManaged)
                    steps.Add(UnitStep.Restart(systemd, server.ServiceUnit));
                else
                    steps.AddRange(new RunPlanner(systemd, server).RestartSteps());
            }
        }

        return new TargetPlan(new ChangePlan(server.Name, steps, connections), target, SelectedAsync, ExposedAsync);

        async Task<IReadOnlyList<Pkcs11Token>> SelectedAsync(IReporter to, CancellationToken cancellation) =>
            (await SelectionAsync(to, cancellation)).Of(target);

        async Task<IReadOnlyList<Pkcs11Token>?> ExposedAsync(IReporter to, CancellationToken cancellation) =>
            await AskAsync(target, to, cancellation);
    }

    /// <summary>The connections that are open were made for the old target, and see what is no more in it.</summary>
    void AddEndOfConnections(ISystemdManager systemd, List<PlanStep> steps)
    {
        var pattern = new InstanceLayout(server.Name, server.Scope).ConnectionPattern;
        if (systemd.List(pattern).Count is > 0 and var count)
            steps.Add(UnitStep.StopConnections(systemd, pattern, count));
    }

    /// <summary>The URIs that become the target, once it is sure what they select. What is the target already is not asked for.</summary>
    async Task<IReadOnlyList<Pkcs11Uri>> ChooseAsync(IReadOnlyList<Pkcs11Uri> given, IReporter reporter, CancellationToken cancellationToken)
    {
        IReadOnlyList<Pkcs11Uri> distinct = [.. given.Distinct()];
        if (distinct.Count == 0 || (request.Form == P11TargetForm.P11Tool && request.Change == P11TargetChange.Set && place.Steps(distinct, server.Scope).Count == 0))
            return distinct;
        var selection = await SelectionAsync(reporter, cancellationToken);
        if (request.Form == P11TargetForm.Minimal)
            given = [.. given.SelectMany(uri => selection.Minimals(uri, request.Force))];
        if (!request.Force)
            selection.Require(given);
        return [.. given.Distinct()];
    }

    /// <summary>What is left when the URIs, and what names the same tokens, are taken out.</summary>
    async Task<IReadOnlyList<Pkcs11Uri>> RemoveAsync(
        IReadOnlyList<Pkcs11Uri> before, IReadOnlyList<Pkcs11Uri> given, IReporter reporter, CancellationToken cancellationToken)
    {
        List<Pkcs11Uri> left = [.. before.Where(old => !given.Any(uri => uri.Covers(old)))];
        foreach (var wide in left.ToList())
        {
            // It may name the token in fewer words or in others, and perhaps other tokens with it.
            var selection = await SelectionAsync(reporter, cancellationToken);
            var (selected, meant) = (selection.Of(wide), selection.Of(given));
            if (!selected.Intersect(meant).Any() && !given.Any(wide.Covers))
                continue;
            var others = selected.Except(meant).ToList();
            if (others.Count > 0 && !request.Force)
            {
                throw new HsmRemoteException(
                    "TargetUriAmbiguous", FailureKind.InvalidArgument,
                    $"'{wide}' in the target of '{server.Name}' selects other tokens too: {TargetSelection.Describe(others)}.",
                    "Set the target anew with the tokens that are to stay, or add -Force to take them all out.", wide);
            }

            left.Remove(wide);
        }

        return left;
    }

    async Task<TargetSelection> SelectionAsync(IReporter reporter, CancellationToken cancellationToken) =>
        new(live ??= await tokens.FindAsync(Query, new WarningReporter(reporter), cancellationToken));

    async Task<IReadOnlyList<Pkcs11Token>?> AskAsync(IReadOnlyList<Pkcs11Uri> target, IReporter reporter, CancellationToken cancellationToken)
    {
        // Without a target it ends every connection at once.
        if (target.Count == 0)
            return [];
        if (server is not { State: P11KitServerState.Listening, SocketPath: { } path })
        {
            reporter.Warning($"'{server.Name}' does not listen, so it cannot be asked what it exposes. Start it: {SystemdTools.Systemctl(server.Scope)} start {server.Unit}.");
            return null;
        }

        try
        {
            var exposed = await tokens.FindAsync(
                Query with { SocketPath = path, ServerName = server.Name }, new WarningReporter(reporter), cancellationToken);
            if (live is not null)
            {
                if (new TargetSelection(live).Of(target).ExceptBy(exposed.Select(token => token.Uri), token => token.Uri).ToList() is { Count: > 0 } missing)
                    reporter.Warning($"The server of '{server.Name}' does not see what is there for this session: {TargetSelection.Describe(missing)}. It has an environment of its own. Test-P11Socket -Name {server.Name} says more.");
                if (exposed.ExceptBy(live.Select(token => token.Uri), token => token.Uri).ToList() is { Count: > 0 } more)
                    reporter.Warning($"The server of '{server.Name}' exposes what is not there for this session: {TargetSelection.Describe(more)}. It has an environment of its own. Test-P11Socket -Name {server.Name} says more.");
            }

            return exposed;
        }
        catch (HsmRemoteException e)
        {
            reporter.Warning($"The target is set, and what the server exposes is not known. {e.Message}");
            return null;
        }
    }

    sealed class TargetPlan(
        ChangePlan changes, IReadOnlyList<Pkcs11Uri> target, Func<IReporter, CancellationToken, Task<IReadOnlyList<Pkcs11Token>>> selected,
        Func<IReporter, CancellationToken, Task<IReadOnlyList<Pkcs11Token>?>> exposed) : IP11TargetPlan
    {
        public string Name => changes.Name;

        public IReadOnlyList<PlannedChange> Changes => changes.Changes;

        public IReadOnlyList<Pkcs11Uri> Target => target;

        public Task ApplyAsync(IReporter reporter, CancellationToken cancellationToken) => changes.ApplyAsync(reporter, cancellationToken);

        public Task<IReadOnlyList<Pkcs11Token>> SelectedAsync(IReporter reporter, CancellationToken cancellationToken) => selected(reporter, cancellationToken);

        public Task<IReadOnlyList<Pkcs11Token>?> ExposedAsync(IReporter reporter, CancellationToken cancellationToken) => exposed(reporter, cancellationToken);

        public void Dispose() => changes.Dispose();
    }
}
