using System.Text.RegularExpressions;
using HsmRemote.Services.P11Kit;
using HsmRemote.Services.Plan;

namespace HsmRemote.Services.Server;

/// <summary>What has to be installed for an instance to run.</summary>
static partial class PackagePlanner
{
    /// <summary>The step that installs what is missing, or null when nothing is.</summary>
    /// <exception cref="HsmRemoteException">A package is missing and may not be installed, or nobody knows how.</exception>
    internal static async Task<PlanStep?> PlanAsync(P11KitServerSpec spec, IReporter reporter, CancellationToken cancellationToken)
    {
        if (spec.Modules.FirstOrDefault(module => !PackageName().IsMatch(module)) is { } bad)
        {
            throw new HsmRemoteException(
                "ModuleNameInvalid", FailureKind.InvalidArgument, $"'{bad}' is neither a module that is known here nor can it be a package's name.",
                "Use softhsm2, opensc or tpm2, or the name of a package as the package manager knows it.", bad);
        }

        var isP11KitMissing = !P11KitInstallation.IsThere;
        if (spec.Modules.Count == 0 && !(isP11KitMissing && spec.InstallPackage))
            return null;
        var manager = PackageManager.OfThisHost() ?? throw new HsmRemoteException(
            "PackageManagerUnknown", FailureKind.Unavailable,
            "The distribution in /etc/os-release is none whose package manager is known here (apt-get, dnf, zypper, apk).",
            "Install p11-kit and the modules yourself, and leave -InstallPackage and -Module out.", "/etc/os-release");
        using var step = new Step(reporter, $"Ask {manager.Query[0]} what is installed");
        var missing = await manager.MissingAsync(
            [.. isP11KitMissing && spec.InstallPackage ? manager.P11KitPackages : [], .. spec.Modules.Select(manager.PackageOf)], cancellationToken);
        if (missing.Count == 0)
            return null;
        if (spec.InstallPackage)
            return new InstallPackageStep(missing, manager.InstallCommand(missing));
        throw new HsmRemoteException(
            "PackageMissing", FailureKind.Unavailable, $"What -Module asks for is not installed: {string.Join(", ", missing)}.",
            $"Add -InstallPackage, or run: {string.Join(' ', manager.InstallCommand(missing))}", string.Join(", ", missing));
    }

    // Of all the managers that are known here. None of them takes such a name for an option or a pattern.
    [GeneratedRegex(@"\A[A-Za-z0-9][A-Za-z0-9._+-]{0,127}\z", RegexOptions.CultureInvariant, 1000)]
    private static partial Regex PackageName();
}
