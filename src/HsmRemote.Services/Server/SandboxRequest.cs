using System.Text.RegularExpressions;
using HsmRemote.Services.Native;
using HsmRemote.Services.Systemd;

namespace HsmRemote.Services.Server;

/// <summary>What an administrator lets an instance have beyond what its modules are known to need. Its unit remembers it.</summary>
/// <param name="Paths">Files and directories that it may read and write.</param>
/// <param name="Devices">Device nodes, or <see cref="SandboxDirectives.UsbDevices"/>.</param>
/// <param name="Environment">Variables for the modules, by name.</param>
/// <param name="User">The account that it runs as; null: root.</param>
sealed partial record SandboxRequest(
    IReadOnlyList<string> Paths, IReadOnlyList<string> Devices, IReadOnlyDictionary<string, string> Environment, string? User)
{
    const string PathKey = "AllowPath";
    const string DeviceKey = "AllowDevice";
    const string VariableKey = "Environment";
    const string UserKey = "ServiceUser";

    // Whoever has all of one of these has what the sandbox keeps away: other services' sockets, devices.
    static readonly string[] TooMuch = ["/", "/run", "/var/run", "/dev"];

    // Hidden whole: nothing can be shown in them.
    static readonly string[] Never = [SandboxDirectives.Processes, SandboxDirectives.KernelObjects];

    static readonly string[] SecretWords = ["PIN", "PASS", "PASSWORD", "PASSWD", "PASSPHRASE", "SECRET", "AUTH", "CREDENTIAL"];

    internal static SandboxRequest Nothing { get; } = new([], [], new Dictionary<string, string>(StringComparer.Ordinal), null);

    /// <summary>What was given, else what is installed.</summary>
    /// <param name="spec">What was given.</param>
    /// <param name="installed">What is installed.</param>
    /// <exception cref="HsmRemoteException">Something that was given cannot be had.</exception>
    internal static SandboxRequest Of(P11KitServerSpec spec, SandboxRequest installed)
    {
        foreach (var path in spec.AllowPath ?? [])
            CheckPath(path);
        foreach (var device in spec.AllowDevice ?? [])
            CheckDevice(device);
        foreach (var (name, value) in spec.Environment ?? Nothing.Environment)
            CheckVariable(name, value);
        if (spec.ServiceUser is { } user && Accounts.FindUser(user) is null)
        {
            throw new HsmRemoteException(
                "ServiceUserNotFound", FailureKind.NotFound, $"There is no user '{user}' for the service to run as.",
                $"Create it: useradd --system --no-create-home --shell /usr/sbin/nologin {user}.", user);
        }

        return new(
            spec.AllowPath ?? installed.Paths,
            spec.AllowDevice ?? installed.Devices,
            spec.Environment ?? installed.Environment,
            spec.ServiceUser is null ? installed.User : spec.ServiceUser is "root" ? null : spec.ServiceUser);
    }

    /// <summary>What an instance's unit remembers.</summary>
    /// <param name="places">Where the instance is, or was until now.</param>
    internal static SandboxRequest Installed(params IEnumerable<InstanceLayout> places)
    {
        var units = places.SelectMany(place => new[] { place.ServiceTemplatePath, place.UnitPath(place.Service) });
        return units.FirstOrDefault(ServerInventory.IsOurs) is { } unit ? Parse(UnitFile.LinesOf(unit)) : Nothing;
    }

    /// <summary>Writes it down below <see cref="InstanceUnits.Mark"/>, as it is: systemd does not read that section.</summary>
    internal UnitFile Remember(UnitFile unit)
    {
        foreach (var path in Paths)
            unit.Set(PathKey, path);
        foreach (var device in Devices)
            unit.Set(DeviceKey, device);
        foreach (var (name, value) in Environment.OrderBy(variable => variable.Key, StringComparer.Ordinal))
            unit.Set(VariableKey, $"{name}={value}");
        return User is null ? unit : unit.Set(UserKey, User);
    }

    /// <summary>Reads what <see cref="Remember"/> wrote.</summary>
    internal static SandboxRequest Parse(IEnumerable<string> unit)
    {
        var remembered = InstanceUnits.Remembered(unit);
        return new(
            [.. remembered[PathKey]],
            [.. remembered[DeviceKey]],
            remembered[VariableKey].Select(text => text.Split('=', 2)).Where(pair => pair.Length == 2)
                .ToDictionary(pair => pair[0], pair => pair[1], StringComparer.Ordinal),
            UserOf(remembered));
    }

    /// <summary>The account that a service was given, of what its unit remembers; null: root.</summary>
    internal static string? UserOf(ILookup<string, string> remembered) => remembered[UserKey].FirstOrDefault();

    static void CheckPath(string path)
    {
        if (!IsPlain(path) || Array.IndexOf(TooMuch, path) >= 0 || Array.Exists(Never, directory => SandboxDirectives.Contains(directory, path)))
        {
            throw new HsmRemoteException(
                "AllowPathInvalid", FailureKind.InvalidArgument,
                $"'{path}' cannot be allowed: it has to be absolute, without '.', '..' or control characters, less than all of {string.Join(", ", TooMuch)}, and outside of {string.Join(", ", Never)}.",
                "Give the file or the directory that the module needs itself.", path);
        }
    }

    static void CheckDevice(string device)
    {
        if (!IsPlain(device) || !device.StartsWith("/dev/", StringComparison.Ordinal)
            || (Directory.Exists(device) && device is not SandboxDirectives.UsbDevices))
        {
            throw new HsmRemoteException(
                "AllowDeviceInvalid", FailureKind.InvalidArgument, $"'{device}' cannot be allowed: it has to be a device node below /dev.",
                $"Give the node itself, such as /dev/tpmrm0; {SandboxDirectives.UsbDevices} stands for all USB devices.", device);
        }
    }

    static void CheckVariable(string name, string value)
    {
        if (WhyNot(name, value) is { } reason)
            throw reason;
    }

    /// <summary>Why a variable cannot be set; null when it can.</summary>
    internal static HsmRemoteException? WhyNot(string name, string value)
    {
        if (!VariableName().IsMatch(name) || value.Any(char.IsControl))
        {
            return new HsmRemoteException(
                "EnvironmentInvalid", FailureKind.InvalidArgument, $"'{name}' cannot be set: a variable's name has letters, digits and '_', and its value no control characters.",
                "Change the name or the value.", name);
        }

        if (IsReserved(name))
        {
            return new HsmRemoteException(
                "EnvironmentReserved", FailureKind.InvalidArgument, $"{name} cannot be set: the target is set by -TargetUri, and a server never has an address to connect to.",
                "Leave it out of -Environment.", name);
        }

        return name.ToUpperInvariant().Split('_').Intersect(SecretWords, StringComparer.Ordinal).Any()
            ? new HsmRemoteException(
                "EnvironmentSecret", FailureKind.InvalidArgument, $"{name} reads like a secret: -Environment goes into a unit file that everyone may read.",
                "Put it into a file of mode 0600, and name that with EnvironmentFile= in a drop-in: systemctl edit.", name)
            : null;
    }

    /// <summary>Whether a variable is the instance's own to set.</summary>
    internal static bool IsReserved(string name) => name is InstanceLayout.TargetVariable or "P11_KIT_SERVER_ADDRESS";

    static bool IsPlain(string path) =>
        path.StartsWith('/') && !path.Any(char.IsControl) && string.Equals(Path.GetFullPath(path), path, StringComparison.Ordinal)
        && (path.Length == 1 || !path.EndsWith('/'));

    [GeneratedRegex(@"\A[A-Za-z_][A-Za-z0-9_]*\z", RegexOptions.CultureInvariant, 1000)]
    private static partial Regex VariableName();
}
