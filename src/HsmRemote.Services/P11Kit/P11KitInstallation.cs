namespace HsmRemote.Services.P11Kit;

/// <summary>What of p11-kit is installed on this host.</summary>
static class P11KitInstallation
{
    // Where packages put it comes first.
    static readonly string[] Paths = ["/usr/bin/p11-kit", "/usr/local/bin/p11-kit", "/opt/homebrew/bin/p11-kit"];

    // Where p11-kit's build may put the programs that the p11-kit command starts.
    static readonly string[] ServerPrograms =
    [
        "/usr/libexec/p11-kit/p11-kit-server", "/usr/lib/p11-kit/p11-kit-server", "/usr/lib64/p11-kit/p11-kit-server",
        "/usr/local/libexec/p11-kit/p11-kit-server",
    ];

    internal static bool IsThere => Array.Exists(Paths, File.Exists);

    /// <summary>The p11-kit command.</summary>
    /// <param name="isToBeInstalled">Whether a package will have put it in its place by the time that it is run.</param>
    /// <exception cref="HsmRemoteException">It is not installed.</exception>
    internal static string Command(bool isToBeInstalled = false) =>
        Array.Find(Paths, File.Exists) ?? (isToBeInstalled ? Paths[0] : throw Missing());

    /// <summary>Whether <c>p11-kit server</c> takes over a socket that systemd listens on (sd_listen_fds(3)).</summary>
    /// <remarks>
    /// It can from 0.25.6 on, and before where it was built with libsystemd, which Debian's is not. No option and no version
    /// says so; whoever takes over sockets has the name of the variable in the program, or the library that reads it. Of one
    /// that is yet to be installed nobody knows: it is taken for one that cannot, which it can be asked to do all the same.
    /// </remarks>
    /// <param name="isToBeInstalled">Whether a package will have put it in its place by the time that it is run.</param>
    /// <exception cref="HsmRemoteException">There is no server.</exception>
    internal static bool CanBeActivated(bool isToBeInstalled = false) =>
        Array.Find(ServerPrograms, File.Exists) is { } program
            ? CanBeActivated(program)
            : isToBeInstalled
                ? false
                : throw new HsmRemoteException(
                    "P11KitServerMissing", FailureKind.Unavailable, "'p11-kit server' is not installed: there is no program p11-kit-server.",
                    "Install it (Debian: apt-get install p11-kit; Fedora: dnf install p11-kit-server), or use another -Mode.", "p11-kit-server");

    /// <summary>Whether a program takes over sockets.</summary>
    /// <param name="program">The server's program.</param>
    internal static bool CanBeActivated(string program)
    {
        var content = File.ReadAllBytes(program).AsSpan();
        return content.IndexOf("LISTEN_FDS\0"u8) >= 0 || content.IndexOf("libsystemd.so"u8) >= 0;
    }

    static HsmRemoteException Missing() => new(
        "P11KitMissing", FailureKind.Unavailable, $"p11-kit is not installed: there is no {Paths[0]}.",
        PackageManager.OfThisHost() is { } manager
            ? $"Run: {string.Join(' ', manager.InstallCommand(manager.P11KitPackages))} (or Install-P11KitServer with -InstallPackage, which does)."
            : "Install p11-kit with its server; which package has it on this distribution is not known here.", Paths[0]);
}
