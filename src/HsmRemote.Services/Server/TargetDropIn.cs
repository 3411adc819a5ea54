using HsmRemote.Services.Plan;
using HsmRemote.Services.Systemd;

namespace HsmRemote.Services.Server;

/// <summary>The target of a unit that has its URIs in its command line: a drop-in gives it the same command with other URIs.</summary>
sealed class TargetDropIn(ISystemdManager systemd, P11KitServer server) : ITargetPlace
{
    // After the drop-ins that people write, which mostly are called override.conf.
    const string FileName = "zz-target.conf";

    public IReadOnlyList<Pkcs11Uri> Uris() => server.TargetUri ?? [];

    public bool IsCoveredBy(IReadOnlyList<Pkcs11Uri> target) => server.TargetUri is { } now && now.All(old => target.Any(uri => uri.Covers(old)));

    public IReadOnlyList<PlanStep> Steps(IReadOnlyList<Pkcs11Uri> target, P11KitServerScope scope)
    {
        var service = ServerInventory.LoadService(systemd, server.ServiceUnit)!;
        var command = ServerCommand.Find(service, ServiceEnvironment.Of(server.Name, service))!;
        var plain = command.Plain ?? throw new HsmRemoteException(
            "NoConfigFile", FailureKind.InvalidOperation,
            $"The target of '{server.Name}' is neither in a file of its own nor in a command that systemd itself runs: {server.ServiceUnit} runs a script.",
            $"Change the unit itself ({server.UnitPath}), or install an instance with Install-P11KitServer.", server.Name);
        if (command.Target.SequenceEqual(target.Select(uri => uri.ToString()), StringComparer.Ordinal))
            return [];

        var directory = $"{new InstanceLayout(server.Name, scope).UnitPath(server.ServiceUnit)}.d";
        var path = Path.Combine(directory, FileName);
        // What systemd gives back has its specifiers replaced, and its variables and doubled dollar signs still in it.
        var words = plain.Concat(target.Select(uri => uri.ToString().Replace("$", "$$", StringComparison.Ordinal))).Select(Quote);
        var content = new UnitFile()
            .Comment($"The tokens that {server.Name} exposes. Set-P11TargetUri writes this; without it, the unit's own command holds.")
            .Section("Service")
            .Set("ExecStart", "")
            .Set("ExecStart", string.Join(' ', words))
            .ToString();
        List<PlanStep> steps = [];
        InstallPlanner.AddDirectories(directory, steps);
        steps.Add(new WriteFileStep(path, AtomicFile.Read(path), FileImage.Ours(content, scope)));
        steps.Add(UnitStep.Reload(systemd));
        return steps;
    }

    static string Quote(string word) =>
        $"\"{UnitFile.Literal(word).Replace(@"\", @"\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal)}\"";
}
