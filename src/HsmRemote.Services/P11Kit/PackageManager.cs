using HsmRemote.Services.Native;

namespace HsmRemote.Services.P11Kit;

/// <summary>How a family of distributions installs packages, and what the packages are called there.</summary>
/// <param name="Name">The command.</param>
/// <param name="Distributions">The values of ID and ID_LIKE in os-release(5) that it goes by.</param>
/// <param name="Install">The command that installs the packages which are put behind it, and asks nothing.</param>
/// <param name="Query">The command that succeeds when the package which is put behind it is installed.</param>
/// <param name="Installed">What the query says then; empty: anything.</param>
/// <param name="P11KitPackages">The packages with <c>p11-kit</c>, <c>p11-kit remote</c> and p11-kit-client.so.</param>
/// <param name="Modules">The packages of modules by their names here; a name that is not among them is a package's.</param>
sealed record PackageManager(
    string Name,
    IReadOnlyList<string> Distributions,
    IReadOnlyList<string> Install,
    IReadOnlyList<string> Query,
    string Installed,
    IReadOnlyList<string> P11KitPackages,
    IReadOnlyDictionary<string, string> Modules)
{
    static readonly PackageManager[] Known =
    [
        // apt-get(8): a package's recommendations bring daemons that nobody asked for.
        new("apt-get", ["debian", "ubuntu"],
            ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "--yes", "--no-install-recommends"],
            ["dpkg-query", "--show", "--showformat=${db:Status-Status}"], "installed",
            ["p11-kit", "p11-kit-modules"],
            new Dictionary<string, string>(StringComparer.Ordinal) { ["opensc"] = "opensc-pkcs11", ["tpm2"] = "libtpm2-pkcs11-1" }),
        new("dnf", ["fedora", "rhel", "centos"],
            ["dnf", "install", "--assumeyes"],
            ["rpm", "--query", "--whatprovides"], "",
            ["p11-kit", "p11-kit-server"],
            new Dictionary<string, string>(StringComparer.Ordinal) { ["softhsm2"] = "softhsm", ["tpm2"] = "tpm2-pkcs11" }),
        new("zypper", ["suse", "opensuse", "sles"],
            ["zypper", "--non-interactive", "install"],
            ["rpm", "--query", "--whatprovides"], "",
            ["p11-kit", "p11-kit-server"],
            new Dictionary<string, string>(StringComparer.Ordinal) { ["softhsm2"] = "softhsm", ["tpm2"] = "tpm2-pkcs11" }),
        new("apk", ["alpine"],
            ["apk", "add"],
            ["apk", "info", "--installed"], "",
            ["p11-kit", "p11-kit-server"],
            new Dictionary<string, string>(StringComparer.Ordinal) { ["softhsm2"] = "softhsm", ["tpm2"] = "tpm2-pkcs11" }),
    ];

    /// <summary>The one that this host goes by, or null when its distribution is none of those known here.</summary>
    internal static PackageManager? OfThisHost() =>
        Array.Find(["/etc/os-release", "/usr/lib/os-release"], File.Exists) is { } path ? Of(File.ReadAllText(path)) : null;

    /// <summary>The one that an os-release file says: by its ID, else by what it is like, the nearest first.</summary>
    internal static PackageManager? Of(string osRelease)
    {
        // The file is one of assignments that a shell could read, as systemd's are.
        var release = Systemd.EnvironmentFile.Parse(osRelease);
        return $"{release["ID"]} {release["ID_LIKE"]}".Split(' ', StringSplitOptions.RemoveEmptyEntries)
            .Select(id => Array.Find(Known, manager => manager.Distributions.Any(d => id.Equals(d, StringComparison.Ordinal) || id.StartsWith($"{d}-", StringComparison.Ordinal))))
            .FirstOrDefault(manager => manager is not null);
    }

    internal IReadOnlyList<string> InstallCommand(IEnumerable<string> packages) => [.. Install, .. packages];

    internal string PackageOf(string module) => Modules.GetValueOrDefault(module, module);

    /// <summary>Those that are not installed.</summary>
    internal async Task<IReadOnlyList<string>> MissingAsync(IEnumerable<string> packages, CancellationToken cancellationToken)
    {
        List<string> missing = [];
        foreach (var package in packages)
        {
            var result = await ChildProcess.RunAsync(Query[0], [.. Query.Skip(1), package], cancellationToken);
            if (result.ExitCode != 0 || !result.Output.StartsWith(Installed, StringComparison.Ordinal))
                missing.Add(package);
        }

        return missing;
    }
}
