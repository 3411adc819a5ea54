using HsmRemote.Services.Plan;
using HsmRemote.Services.Server;
using HsmRemote.Services.Sockets;
using HsmRemote.Services.Systemd;

namespace HsmRemote.Services.Forwarding;

/// <summary>What is missing for a forward to be as it should, and what has to go for it to be gone.</summary>
sealed class ForwardPlanner(SystemdManagers managers, IReporter reporter)
{
    static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    internal async Task<IChangePlan> NewAsync(ForwardSettings wanted, CancellationToken cancellationToken)
    {
        ForwardRules.Check(wanted);
        var layout = wanted.Layout;
        var systemd = managers[layout.Scope];
        var known = ForwardInventory.Find(layout.Name, layout.Scope);
        var moves = known is not null && !known.IsAtPlaceOf(wanted);
        // It is not missing for a second time.
        if (known is { MakesDirectory: true } && !moves)
            wanted = wanted with { MakesDirectory = true };
        var knownHosts = wanted.ColimaProfile is { } profile ? await KnownHostsAsync(wanted, profile, cancellationToken) : null;

        var isUp = known is not null && ForwardInventory.Describe(known, systemd).State == P11ForwardState.Connected;
        if (!isUp || Files(wanted, knownHosts).Count > 0)
        {
            using var reach = await ForwardReach.OpenAsync(wanted, knownHosts, cancellationToken);
            wanted = wanted with { MakesDirectory = wanted.MakesDirectory | await CheckEndsAsync(reach.Forward, isUp && !moves, cancellationToken) };
        }

        var files = Files(wanted, knownHosts);
        if (files.Count > 0)
            await UnitVerifier.VerifyAsync(new Dictionary<string, string>(StringComparer.Ordinal) { [layout.Unit] = ForwardUnit.Service(wanted) }, cancellationToken, layout.Scope);

        List<PlanStep> steps = [];
        var changes = files.Count > 0 || File.Exists(layout.Other.UnitPath);
        if (changes && IsActive(systemd, layout))
            steps.Add(UnitStep.Stop(systemd, layout.Unit));
        if (moves)
            steps.AddRange(await ForwardRemains.StepsAsync(known!, reporter, cancellationToken));
        if (File.Exists(layout.Other.UnitPath))
            RemoveFiles(layout.Other, systemd, steps);
        InstallPlanner.AddDirectories(layout.UnitDirectory, steps);
        InstallPlanner.AddDirectories(layout.Directory, steps);
        steps.AddRange(files);
        var enables = layout.IsPersistent && systemd.FileState(layout.Unit) is not "enabled";
        if (enables)
            steps.Add(UnitStep.Enable(systemd, layout.Unit));
        if (changes || enables)
            steps.Add(UnitStep.Reload(systemd));
        if (changes || !isUp)
        {
            if (!changes && IsActive(systemd, layout))
                steps.Add(UnitStep.Stop(systemd, layout.Unit));
            var (from, to) = wanted.Direction == P11ForwardDirection.Push
                ? ("this host", wanted.HostName) : (wanted.HostName, "this host");
            steps.Add(new StartForwardStep(systemd, wanted, $"Start {layout.Unit}: {wanted.ServedPath} of {from} appears at {wanted.MadePath} of {to}"));
        }

        return new ChangePlan(layout.Name, steps, managers);
    }

    internal async Task<IChangePlan> RemoveAsync(string name, P11KitServerScope scope, CancellationToken cancellationToken)
    {
        var systemd = managers[scope];
        List<PlanStep> steps = [];
        foreach (var layout in ForwardLayout.Both(name, scope))
        {
            if (ForwardInventory.Read(layout) is not { } forward)
                continue;
            var remains = await ForwardRemains.StepsAsync(forward, reporter, cancellationToken);
            if (systemd.Load(layout.Unit)?.Text("ActiveState") is not (null or "inactive"))
                steps.Add(UnitStep.Stop(systemd, layout.Unit));
            steps.AddRange(remains);
            RemoveFiles(layout, systemd, steps);
            steps.Add(UnitStep.Reload(systemd));
        }

        return new ChangePlan(name, steps, managers);
    }

    static bool IsActive(ISystemdManager systemd, ForwardLayout layout) => systemd.Load(layout.Unit)?.Text("ActiveState") is not (null or "inactive" or "failed");

    /// <summary>Files that are not as they should be.</summary>
    static List<PlanStep> Files(ForwardSettings wanted, string? knownHosts)
    {
        var layout = wanted.Layout;
        PlanStep?[] steps =
        [
            knownHosts is null ? null : InstallPlanner.Ensure(layout.KnownHostsPath, knownHosts, layout.Scope),
            // They are the same in every forward: their first lines say what they are.
            InstallPlanner.Ensure(layout.TunnelPath, ForwardUnit.Script("tunnel.sh"), layout.Scope, Heading),
            InstallPlanner.Ensure(layout.EndPath, ForwardUnit.Script("end.sh"), layout.Scope, Heading),
            InstallPlanner.Ensure(layout.UnitPath, ForwardUnit.Service(wanted), layout.Scope),
        ];
        return [.. steps.OfType<PlanStep>()];
    }

    static string Heading(FileImage script) =>
        string.Join('\n', System.Text.Encoding.UTF8.GetString(script.Content).Split('\n').TakeWhile(line => line.StartsWith('#') && line.Length > 1)) + "\n…";

    /// <summary>Asks both ends; gives whether the directory of the socket is to be made over there.</summary>
    async Task<bool> CheckEndsAsync(ForwardSettings wanted, bool isUp, CancellationToken cancellationToken)
    {
        var far = new FarSide(wanted);
        if (wanted.Direction == P11ForwardDirection.Push)
            await CheckServedHereAsync(wanted, cancellationToken);
        else
            await CheckServedThereAsync(wanted, cancellationToken);
        var end = await far.LookAsync(cancellationToken);
        reporter.Verbose($"{(wanted.Direction == P11ForwardDirection.Push ? $"{wanted.Host} lets {end.UserName} in" : "This host")}; {wanted.MadePath}: {end.Path}, its directory: {end.Directory}");
        ForwardRules.CheckEnd(wanted, end, isUp);
        if (end.Path is "stale")
            reporter.Verbose($"Nobody listens on {wanted.MadePath}: the tunnel removes it");
        var makesDirectory = end.Directory is "missing";
        if (wanted.Direction == P11ForwardDirection.Push)
            await far.TryForwardAsync(!makesDirectory, cancellationToken);
        return makesDirectory;
    }

    async Task CheckServedHereAsync(ForwardSettings wanted, CancellationToken cancellationToken)
    {
        var test = await new P11SocketService().TestAsync(new P11SocketEndpoint(wanted.ServerName, wanted.SocketPath), new P11IdentityRequest(), Patience, cancellationToken);
        // What comes after that is the server's own business: it may get its target later.
        if (test.FailedCheck is { } failed && failed <= P11SocketCheckName.Protocol && test.Cause != P11SocketCause.NoTarget)
        {
            throw new HsmRemoteException(
                "LocalSocketFailed", FailureKind.Unavailable, $"{wanted.SocketPath} does not answer as a p11-kit server: {test.Explanation}", test.Remedy, wanted.SocketPath);
        }

        if (!test.Succeeded)
            reporter.Warning($"{wanted.SocketPath} answers, and exposes no token that could be used: {test.Explanation}");
    }

    static async Task CheckServedThereAsync(ForwardSettings wanted, CancellationToken cancellationToken)
    {
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        deadline.CancelAfter(TimeSpan.FromSeconds(30));
        await using var bridge = new SshBridge();
        try
        {
            using var socket = await bridge.ConnectAsync(wanted, wanted.RemotePath, deadline.Token);
            await using var client = await P11KitRpc.P11KitRpcClient.ConnectAsync(new System.Net.Sockets.NetworkStream(socket), deadline.Token);
        }
        catch (Exception e) when (e is P11KitRpc.P11KitRpcException or OperationCanceledException && !cancellationToken.IsCancellationRequested)
        {
            throw new HsmRemoteException(
                "RemoteSocketFailed", FailureKind.Unavailable,
                bridge.WasRefused
                    ? $"sshd of {wanted.Host} did not connect to {wanted.RemotePath}: it is not there, nobody listens, the user may not, or AllowStreamLocalForwarding forbids it."
                    : $"{wanted.RemotePath} on {wanted.Host} does not answer as a p11-kit server: {e.Message}",
                $"Test it over there: Test-P11Socket -SocketPath {wanted.RemotePath}.", wanted.RemotePath, e);
        }
    }

    /// <summary>The host keys that are known already, or those that colima's connection tells.</summary>
    static async Task<string> KnownHostsAsync(ForwardSettings wanted, string profile, CancellationToken cancellationToken) =>
        File.Exists(wanted.Layout.KnownHostsPath)
            ? await File.ReadAllTextAsync(wanted.Layout.KnownHostsPath, cancellationToken)
            : await Colima.KnownHostsAsync(profile, wanted.HostName, cancellationToken);

    static void RemoveFiles(ForwardLayout layout, ISystemdManager systemd, List<PlanStep> steps)
    {
        if (layout.IsPersistent && systemd.FileState(layout.Unit) is "enabled")
            steps.Add(UnitStep.Disable(systemd, layout.Unit));
        steps.AddRange(layout.Files.Where(File.Exists).Select(path => new RemoveFileStep(path)));
        if (Directory.Exists(layout.Directory))
            steps.Add(new RemoveDirectoryStep(layout.Directory));
        steps.Add(new RemoveFileStep(layout.UnitPath));
    }
}
