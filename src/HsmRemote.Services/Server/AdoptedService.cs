using HsmRemote.Services.Native;
using HsmRemote.Services.Systemd;

namespace HsmRemote.Services.Server;

/// <summary>What a server that is taken over has from its own units, drop-ins included, and what of it an instance has as well.</summary>
static class AdoptedService
{
    // The command line, and what of it an instance says in its own way: how it is started again, where it is confined, its socket.
    static readonly string[] Known =
    [
        "Type", "ExecStart", "Environment", "EnvironmentFile", "UnsetEnvironment", "User", "Restart", "RestartSec", "SuccessExitStatus",
        "StandardInput", "StandardOutput", "StandardError", "RuntimeDirectory", "RuntimeDirectoryMode", "RuntimeDirectoryPreserve",
        "NoNewPrivileges", "CapabilityBoundingSet", "AmbientCapabilities", "LockPersonality", "MemoryDenyWriteExecute", "RemoveIPC",
        "ProcSubset", "KeyringMode", "UMask", "DevicePolicy", "IPAddressDeny", "ReadOnlyPaths",
        "ListenStream", "SocketUser", "SocketGroup", "SocketMode", "Accept", "RemoveOnStop", "MaxConnectionsPerSource", "Service",
    ];

    static readonly string[] KnownBeginnings = ["Protect", "Private", "Restrict", "SystemCall", "TriggerLimit"];

    /// <summary>Who the service runs as, and the variables that it has: what an instance is given with -ServiceUser and -Environment.</summary>
    /// <exception cref="HsmRemoteException">It has what no instance can have, and would expose more without it.</exception>
    internal static SandboxRequest RequestOf(P11KitServerSpec spec, InstanceLayout layout, ISystemdManager systemd, P11KitServer server, IReporter reporter)
    {
        var service = ServerInventory.LoadService(systemd, server.ServiceUnit)!;
        var environment = ServiceEnvironment.Of(server.Name, service);
        var command = ServerCommand.Find(service, environment)!;
        if (command.Options.Provider is { } provider)
            throw NotCarried(server, $"--provider {provider}", "an instance serves the modules that p11-kit is configured with: it would load all of them", "Register the module with p11-kit (Register-Pkcs11Module), and take --provider out of the unit");
        if (service.Flag("DynamicUser") && spec.ServiceUser is null)
            throw NotCarried(server, "DynamicUser=", "an instance runs as an account that is there", "Give a -ServiceUser");
        if (server.TargetUri is null && spec.TargetUri is null)
            throw NotCarried(server, $"'{string.Join(' ', command.Target)}' for its target", "an instance has PKCS #11 URIs", "Give them with -TargetUri");

        return new([], [], spec.Environment ?? Variables(layout, service, environment, command, server, reporter), layout.Scope == P11KitServerScope.User ? null : User(command, service));
    }

    /// <summary>Names what of the units is lost: what no drop-in that stays says, and no unit of ours.</summary>
    /// <param name="systemd">The systemd of the instance.</param>
    /// <param name="server">What is taken over.</param>
    /// <param name="adoption">What is kept of it.</param>
    /// <param name="form">What it is to be.</param>
    /// <param name="reporter">Told of it.</param>
    internal static void WarnOfRest(ISystemdManager systemd, P11KitServer server, Adoption adoption, InstanceForm form, IReporter reporter)
    {
        var service = ServerInventory.LoadService(systemd, server.ServiceUnit)!;
        SortedSet<string> rest = new(StringComparer.Ordinal);
        foreach (var (unit, properties) in new[] { (server.ServiceUnit, service), (server.Unit, systemd.Load(server.Unit)) })
        {
            if (properties is null)
                continue;
            var files = properties.Texts("DropInPaths").Where(path => !form.Units.ContainsKey(unit) || adoption.Moves(path)).Prepend(properties.Text("FragmentPath"));
            rest.UnionWith(files.SelectMany(Directives).Where(directive => !IsKnown(directive.Name) && !IsSocketsGroup(directive, server)).Select(directive => $"{directive.Name}="));
        }

        if (!Path.GetFileName(service.Rows("ExecStart").Select(row => (string)row[0]!).First()).StartsWith("p11-kit", StringComparison.Ordinal))
            rest.Add("what ExecStart= does besides");
        if (rest.Count > 0)
            reporter.Warning($"'{server.Name}' is taken over without what its units also say: {string.Join(", ", rest)}. What of it is needed still goes into a drop-in: systemctl edit {form.Units.Keys.Last()}. Uninstall-P11KitServer brings all of it back.");
    }

    static string? User(ServerCommand command, UnitProperties service)
    {
        var user = command.Options.RunAsUser ?? service.Text("User");
        var account = uint.TryParse(user, out var id) ? Accounts.FindUser(id) : Accounts.FindUser(user);
        return account is { Id: 0 } || user.Length == 0 ? null : account?.Name ?? user;
    }

    /// <summary>The variables that the service has and an instance would not: those of its configuration file stay in it.</summary>
    static Dictionary<string, string> Variables(
        InstanceLayout layout, UnitProperties service, ServiceEnvironment environment, ServerCommand command, P11KitServer server, IReporter reporter)
    {
        Dictionary<string, string> carried = new(StringComparer.Ordinal);
        foreach (var (name, value) in environment.Variables)
        {
            if (string.Equals(name, command.TargetVariable, StringComparison.Ordinal) || string.Equals(environment.FileOf(name), layout.ConfigPath, StringComparison.Ordinal)
                || name is ServiceEnvironment.RuntimeDirectory)
                continue;
            if (SandboxRequest.WhyNot(name, value) is not { } reason)
                carried.Add(name, value);
            else if (!SandboxRequest.IsReserved(name))
                reporter.Warning($"'{server.Name}' is taken over without its variable {name}. {reason.Message} {reason.Remedy}");
        }

        return carried;
    }

    static bool IsKnown(string directive) =>
        Known.Contains(directive, StringComparer.Ordinal) || Array.Exists(KnownBeginnings, beginning => directive.StartsWith(beginning, StringComparison.Ordinal));

    // A daemon's own group is that of the socket which it makes.
    static bool IsSocketsGroup((string Name, string Value) directive, P11KitServer server) => directive.Name is "Group" && string.Equals(directive.Value, server.Group, StringComparison.Ordinal);

    /// <summary>The directives of the sections that say how a service or a socket runs.</summary>
    static IEnumerable<(string Name, string Value)> Directives(string path)
    {
        var section = "";
        foreach (var line in UnitFile.LinesOf(path).Select(line => line.Trim()))
        {
            if (line is ['[', .., ']'])
                section = line;
            else if (section is "[Service]" or "[Socket]" && line is not (['#' or ';', ..]) && line.Split('=', 2) is [var name, var value])
                yield return (name.TrimEnd(), value.TrimStart());
        }
    }

    static HsmRemoteException NotCarried(P11KitServer server, string what, string why, string remedy) => new(
        "AdoptNotCarried", FailureKind.InvalidOperation, $"'{server.Name}' cannot be taken over as it is: its unit has {what}, and {why}.", $"{remedy}, and run the command again.", server.Name);
}
