namespace HsmRemote.Services.P11Kit;

/// <summary>What of p11-kit is installed on this host.</summary>
static class P11KitInstallation
{
    // Where packages put it comes first.
    static readonly string[] Paths = ["/usr/bin/p11-kit", "/usr/local/bin/p11-kit"];

    internal static bool IsThere => Array.Exists(Paths, File.Exists);

    /// <summary>The p11-kit command.</summary>
    /// <param name="isToBeInstalled">Whether a package will have put it in its place by the time that it is run.</param>
    /// <exception cref="HsmRemoteException">It is not installed.</exception>
    internal static string Command(bool isToBeInstalled = false) =>
        Array.Find(Paths, File.Exists) ?? (isToBeInstalled ? Paths[0] : throw Missing());

    static HsmRemoteException Missing() => new(
        "P11KitMissing", FailureKind.Unavailable, $"p11-kit is not installed: there is no {Paths[0]}.",
        PackageManager.OfThisHost() is { } manager
            ? $"Run: {string.Join(' ', manager.InstallCommand(manager.P11KitPackages))} (or Install-P11KitServer with -InstallPackage, which does)."
            : "Install p11-kit with its server; which package has it on this distribution is not known here.", Paths[0]);
}
