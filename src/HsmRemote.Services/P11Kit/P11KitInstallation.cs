namespace HsmRemote.Services.P11Kit;

/// <summary>What of p11-kit is installed on this host.</summary>
static class P11KitInstallation
{
    /// <summary>The p11-kit command.</summary>
    /// <exception cref="HsmRemoteException">It is not installed.</exception>
    internal static string Command() =>
        Array.Find(["/usr/bin/p11-kit", "/usr/local/bin/p11-kit"], File.Exists)
        ?? throw new HsmRemoteException(
            "P11KitMissing", FailureKind.Unavailable, "p11-kit is not installed: there is no /usr/bin/p11-kit.",
            "Install it: apt-get install p11-kit p11-kit-modules (Debian), dnf install p11-kit-server (Fedora).", "/usr/bin/p11-kit");
}
