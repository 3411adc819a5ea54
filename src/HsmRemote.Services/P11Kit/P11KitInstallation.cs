namespace HsmRemote.Services.P11Kit;

/// <summary>What of p11-kit is installed on this host.</summary>
static class P11KitInstallation
{
    // Where p11-kit's build may put the programs that the p11-kit command starts.
    static readonly string[] ServerPrograms =
    [
        "/usr/libexec/p11-kit/p11-kit-server", "/usr/lib/p11-kit/p11-kit-server", "/usr/lib64/p11-kit/p11-kit-server",
        "/usr/local/libexec/p11-kit/p11-kit-server",
    ];

    /// <summary>The p11-kit command.</summary>
    /// <exception cref="HsmRemoteException">It is not installed.</exception>
    internal static string Command() =>
        Array.Find(["/usr/bin/p11-kit", "/usr/local/bin/p11-kit"], File.Exists)
        ?? throw new HsmRemoteException(
            "P11KitMissing", FailureKind.Unavailable, "p11-kit is not installed: there is no /usr/bin/p11-kit.",
            "Install it: apt-get install p11-kit p11-kit-modules (Debian), dnf install p11-kit-server (Fedora).", "/usr/bin/p11-kit");

    /// <summary>Whether <c>p11-kit server</c> takes over a socket that systemd listens on (sd_listen_fds(3)).</summary>
    /// <remarks>
    /// It can from 0.25.6 on, and before where it was built with libsystemd, which Debian's is not. No option and no version
    /// says so; whoever takes over sockets has the name of the variable in the program, or the library that reads it.
    /// </remarks>
    /// <exception cref="HsmRemoteException">There is no server.</exception>
    internal static bool CanBeActivated() => CanBeActivated(
        Array.Find(ServerPrograms, File.Exists)
        ?? throw new HsmRemoteException(
            "P11KitServerMissing", FailureKind.Unavailable, "'p11-kit server' is not installed: there is no program p11-kit-server.",
            "Install it (Debian: apt-get install p11-kit; Fedora: dnf install p11-kit-server), or use another -Mode.", "p11-kit-server"));

    /// <inheritdoc cref="CanBeActivated()"/>
    /// <param name="program">The server's program.</param>
    internal static bool CanBeActivated(string program)
    {
        var content = File.ReadAllBytes(program).AsSpan();
        return content.IndexOf("LISTEN_FDS\0"u8) >= 0 || content.IndexOf("libsystemd.so"u8) >= 0;
    }
}
