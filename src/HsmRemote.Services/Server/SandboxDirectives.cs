using HsmRemote.Services.Systemd;

namespace HsmRemote.Services.Server;

/// <summary>What a service may not do: all that no PKCS #11 module needs (systemd.exec(5)), less what this host's modules need.</summary>
static class SandboxDirectives
{
    /// <summary>Stands for every USB device: their own names change whenever one is plugged in.</summary>
    internal const string UsbDevices = "/dev/bus/usb";

    // Directories that a service has an empty one of, or none.
    static readonly string[] Hidden = ["/run", "/var/run", "/tmp", "/var/tmp", "/home", "/root", "/dev/shm"];
    static readonly string[] Homes = ["/home", "/root", "/run/user"];

    // What root may read without any capability, and no module should.
    static readonly string[] Secrets = ["/etc/shadow", "/etc/shadow-", "/etc/gshadow", "/etc/gshadow-", "/etc/ssh", "/etc/ssl/private"];

    // Root may write to much of it without a capability, and so have the kernel run programs. With it and /proc hidden whole,
    // ProtectKernelTunables= and ProtectControlGroups= make no mounts of their own.
    internal const string KernelObjects = "/sys";

    // Through it root reads the memory of root's other processes, above all of other connections, with the PINs in them. It takes
    // the place of the /proc that ProtectProc= and ProcSubset= would mount, and costs no more.
    internal const string Processes = "/proc";
    internal static readonly (string Directive, string Value) HiddenProcesses = ("InaccessiblePaths", $"-{Processes}");

    // Whoever may talk to these as root may have anything done outside of the sandbox.
    static readonly string[] WaysOut = [ModuleNeeds.SystemBus, "/run/systemd", "/run/podman", "/run/docker.sock", "/run/containerd"];

    /// <summary>The directives for an instance on this host.</summary>
    /// <exception cref="HsmRemoteException">The account that it is to run as may not use the modules' stores.</exception>
    internal static IReadOnlyList<(string Directive, string Value)> For(SandboxRequest request, P11KitServerScope scope, IReporter reporter)
    {
        var needs = ModuleNeeds.OfThisHost(request.Environment, scope);
        foreach (var variable in needs.Variables)
        {
            // Native code in this session would see it, and p11-kit's tools do: only the service does not.
            if (Environment.GetEnvironmentVariable(variable) is { Length: > 0 } value
                && !string.Equals(request.Environment.GetValueOrDefault(variable), value, StringComparison.Ordinal))
                reporter.Warning($"This session has {variable}={value}, which the service will not have. If its tokens are there: -Environment @{{ {variable} = '{value}' }}.");
        }

        if (request.User is null && needs.Visible.Contains(ModuleNeeds.SystemBus, StringComparer.Ordinal))
        {
            reporter.Warning("The TPM's resource manager is reached over D-Bus, over which root may ask systemd for anything, so it stays out of reach. Give a -ServiceUser, or use the device: TPM2_PKCS11_TCTI = 'device:/dev/tpmrm0'.");
            needs = needs with { Visible = [.. needs.Visible.Where(path => path is not ModuleNeeds.SystemBus)] };
        }

        if (request.User is null && request.Paths.FirstOrDefault(path => Array.Exists(WaysOut, way => Contains(path, way) || Contains(way, path))) is { } wayOut)
            reporter.Warning($"Whoever takes over the service can have anything done as root over {wayOut}. With a -ServiceUser of its own that would not be so.");

        // A user's systemd gives no groups; the service has the user's.
        var groups = scope == P11KitServerScope.User ? [] : ServiceAccount.Groups(request.User, [.. needs.Stores, .. needs.Devices, .. request.Paths, .. request.Devices]);
        if (request.User is { } user)
            ServiceAccount.CheckStores(user, groups, [.. needs.Stores, .. request.Paths], reporter);
        var directives = Of(request, needs, groups);
        return scope == P11KitServerScope.User ? [.. UserSandbox.Adapt(directives)] : directives;
    }

    /// <summary>The directives for what is asked for and needed.</summary>
    internal static IReadOnlyList<(string Directive, string Value)> Of(SandboxRequest request, ModuleNeeds needs, IReadOnlyList<string> groups)
    {
        string[] writable = [.. needs.Stores.Concat(request.Paths).Distinct(StringComparer.Ordinal)];
        string[] devices = [.. needs.Devices.Concat(request.Devices).Distinct(StringComparer.Ordinal)];
        List<(string, string)> directives = [];
        if (request.User is not null)
            directives.Add(("User", UnitFile.Literal(request.User)));
        if (groups.Count > 0)
            directives.Add(("SupplementaryGroups", string.Join(' ', groups.Select(UnitFile.Word))));
        directives.AddRange(request.Environment.OrderBy(v => v.Key, StringComparer.Ordinal).Select(v => ("Environment", UnitFile.Word($"{v.Key}={v.Value}"))));
        directives.AddRange(Base);

        // An empty home, below which something can be put, costs more than one that cannot be entered.
        directives.Add(("ProtectHome", Array.Exists([.. writable, .. needs.Visible], path => IsBelow(path, Homes)) ? "tmpfs" : "yes"));
        // A user that is not root may not read the secrets anyway, and each path costs every connection a mount or two.
        var unreadable = request.User is null ? Secrets.Where(secret => !Array.Exists(writable, path => Contains(secret, path))) : [];
        // libusb finds its devices there.
        var usesUsb = devices.Contains(UsbDevices, StringComparer.Ordinal);
        directives.Add(("InaccessiblePaths", string.Join(' ', unreadable.Concat(usesUsb ? [] : [KernelObjects]).Select(path => $"-{path}"))));
        directives.Add(HiddenProcesses);
        if (usesUsb)
            directives.Add(("ReadOnlyPaths", KernelObjects));
        foreach (var path in needs.Visible.Where(path => IsBelow(path, Hidden)))
            directives.Add(("BindReadOnlyPaths", UnitFile.Word($"-{path}")));
        foreach (var path in writable)
            directives.Add((IsBelow(path, Hidden) ? "BindPaths" : "ReadWritePaths", UnitFile.Word($"-{path}")));
        foreach (var device in devices)
        {
            directives.Add(("BindPaths", UnitFile.Word($"-{device}")));
            directives.Add(("DeviceAllow", device is UsbDevices ? "char-usb_device rw" : $"{UnitFile.Word(device)} rw"));
        }

        return directives;
    }

    static bool IsBelow(string path, string[] directories) => Array.Exists(directories, directory => Contains(directory, path));

    /// <summary>Whether a path is a directory or below it.</summary>
    internal static bool Contains(string directory, string path) =>
        path.StartsWith(directory, StringComparison.Ordinal) && (path.Length == directory.Length || path[directory.Length] == '/');

    // Each connection pays for these anew in PerConnection mode; docs/performance.md has what they cost and buy.
    static readonly (string Directive, string Value)[] Base =
    [
        ("NoNewPrivileges", "yes"),
        ("CapabilityBoundingSet", ""),
        ("AmbientCapabilities", ""),
        ("ProtectSystem", "strict"),
        // The sockets of systemd, D-Bus and the container engines are all in /run, and root may talk to them. What a token
        // needs of it is put there by name.
        ("TemporaryFileSystem", "/run:ro"),
        // What other processes of root's share there, root may change.
        ("TemporaryFileSystem", "/dev/shm:mode=1777"),
        ("PrivateIPC", "yes"),
        ("PrivateTmp", "yes"),
        ("PrivateDevices", "yes"),
        ("PrivateNetwork", "yes"),
        // Mostly said by the lines around them already (no capabilities, no devices, the filter); they cost next to nothing.
        ("ProtectKernelTunables", "yes"),
        ("ProtectControlGroups", "yes"),
        ("ProtectKernelModules", "yes"),
        ("ProtectKernelLogs", "yes"),
        ("ProtectClock", "yes"),
        ("ProtectHostname", "yes"),
        ("ProtectProc", "invisible"),
        // Both cost nothing while /proc is hidden. Where a drop-in brings it back: only processes, no /proc/sys, no /proc/kmsg. (Who is
        // in root's group sees all of them, whatever ProtectProc= says.)
        ("ProcSubset", "pid"),
        ("RestrictNamespaces", "yes"),
        ("RestrictRealtime", "yes"),
        ("RestrictSUIDSGID", "yes"),
        ("RestrictAddressFamilies", "AF_UNIX"),
        ("LockPersonality", "yes"),
        ("MemoryDenyWriteExecute", "yes"),
        ("SystemCallArchitectures", "native"),
        // Less than this kills p11-kit: '~@privileged @resources' takes away what it calls at its start.
        ("SystemCallFilter", "@system-service"),
        // What else reaches other processes of the same user: their memory, and signals to them.
        ("SystemCallFilter", "~process_vm_readv process_vm_writev process_madvise kcmp pidfd_open pidfd_getfd pidfd_send_signal kill tkill tgkill rt_sigqueueinfo rt_tgsigqueueinfo"),
        ("SystemCallErrorNumber", "EPERM"),
        ("IPAddressDeny", "any"),
        ("RemoveIPC", "yes"),
        ("KeyringMode", "private"),
        ("UMask", "0077"),
    ];
}
