namespace HsmRemote.Services.Server;

/// <summary>The sandbox of a service under a user's own systemd, which has no privileges to build it with.</summary>
static class UserSandbox
{
    /// <summary>The same directives as far as a user's systemd can follow them; run on systemd 252 and 257.</summary>
    internal static IEnumerable<(string Directive, string Value)> Adapt(IEnumerable<(string Directive, string Value)> directives) =>
        directives
            // The kernel's log is root's anyway, and the service does not start with it; nor with a namespace for IPC.
            .Where(d => d.Directive is not ("ProtectKernelLogs" or "PrivateIPC"))
            // One that the user cannot reach keeps the service from starting, even where one that is missing would not.
            .Where(d => d.Directive is not ("ReadWritePaths" or "BindPaths" or "BindReadOnlyPaths") || Path.Exists(d.Value.Trim('-', '"').Replace("%%", "%", StringComparison.Ordinal)))
            // The user's own configuration of p11-kit and of the modules is in the home directory.
            .Select(d => d.Directive is "ProtectHome" ? (d.Directive, "read-only") : d)
            // One that may not be searched keeps systemd from finding the program that it is to run; an empty one does not.
            .Select(d => d == SandboxDirectives.HiddenProcesses ? ("TemporaryFileSystem", $"{SandboxDirectives.Processes}:ro") : d)
            // Mounts and empty capability sets need privileges, which a process has in a user namespace of its own.
            .Prepend(("PrivateUsers", "yes"))
            .Append(("InaccessiblePaths", "-%h/.ssh -%h/.gnupg"));
}
