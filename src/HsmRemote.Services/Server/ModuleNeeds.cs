using HsmRemote.Services.P11Kit;

namespace HsmRemote.Services.Server;

/// <summary>What the modules that p11-kit loads on this host need beyond reading programs and configuration.</summary>
/// <param name="Stores">Directories that they write to.</param>
/// <param name="Visible">Files and directories that they read, or sockets that they connect to, wherever these are.</param>
/// <param name="Devices">Device nodes that they open.</param>
/// <param name="Variables">The environment variables that decide about these.</param>
sealed record ModuleNeeds(
    IReadOnlyList<string> Stores, IReadOnlyList<string> Visible, IReadOnlyList<string> Devices, IReadOnlyList<string> Variables)
{
    /// <summary>D-Bus's system bus, over which root may ask systemd for anything.</summary>
    internal const string SystemBus = "/run/dbus";

    const string ReaderDaemon = "/run/pcscd";
    const string TpmStore = "/etc/tpm2_pkcs11";
    const string TpmDevice = "/dev/tpmrm0";

    // p11-kit's names of what serves a connection, which 'enable-in' and 'disable-in' may have.
    static readonly string[] Programs = ["remote", "p11-kit-remote"];

    /// <summary>The needs of the modules that p11-kit is configured with.</summary>
    internal static ModuleNeeds OfThisHost(IReadOnlyDictionary<string, string> environment, P11KitServerScope scope) =>
        Of(Programs.SelectMany(ModuleConfiguration.Read).Select(module => (module.Path, module.Remote)), environment, scope);

    /// <summary>The needs of modules.</summary>
    /// <param name="modules">The library of each, or where it is reached.</param>
    /// <param name="environment">The variables that they will have.</param>
    /// <param name="scope">Whose server loads them.</param>
    internal static ModuleNeeds Of(IEnumerable<(string? Path, string? Remote)> modules, IReadOnlyDictionary<string, string> environment, P11KitServerScope scope = P11KitServerScope.System)
    {
        var (stores, visible, devices, variables) = (new SortedSet<string>(StringComparer.Ordinal), new SortedSet<string>(StringComparer.Ordinal),
            new SortedSet<string>(StringComparer.Ordinal), new SortedSet<string>(StringComparer.Ordinal));
        foreach (var (path, remote) in modules)
        {
            // unix:path=/run/x/socket, as pkcs11.conf(5) has it.
            if (remote?.Split("unix:path=", 2) is ["", var socket])
                visible.Add(Around(socket));
            if (path is null)
                continue;
            var file = Path.GetFileName(path);
            if (file.StartsWith("libsofthsm2", StringComparison.Ordinal))
            {
                // It writes to its store even to read: it locks.
                stores.Add(SoftHsmStore.Directory(File(SoftHsmStore.Variable), scope));
            }
            else if (file.Contains("opensc-pkcs11", StringComparison.Ordinal) || file.StartsWith("libykcs11", StringComparison.Ordinal))
            {
                visible.Add(Value("PCSCLITE_CSOCK_NAME") is { } daemon ? Around(daemon) : ReaderDaemon);
                File("OPENSC_CONF");
            }
            else if (file.StartsWith("libtpm2_pkcs11", StringComparison.Ordinal))
            {
                // The store is a database beside which SQLite makes files.
                stores.Add(Value("TPM2_PKCS11_STORE") ?? TpmStore);
                AddTransmissionInterface(Value("TPM2_PKCS11_TCTI"));
            }
        }

        return new([.. stores], [.. visible], [.. devices], [.. variables]);

        string? Value(string variable)
        {
            variables.Add(variable);
            return environment.GetValueOrDefault(variable) is { Length: > 0 } value ? value : null;
        }

        string? File(string variable)
        {
            var value = Value(variable);
            if (value is not null)
                visible.Add(value);
            return value;
        }

        // NAME:CONFIGURATION, tss2-tctildr(3). Those over TCP are out of the sandbox's reach.
        void AddTransmissionInterface(string? text)
        {
            var (name, configuration) = (text ?? "device").Split(':', 2) is [var first, var rest] ? (first, rest) : (text ?? "device", "");
            if (name is "device")
                devices.Add(configuration.Length > 0 ? configuration : TpmDevice);
            else if (name is "tabrmd")
                visible.Add(SystemBus);
            else if (configuration.Split(',').FirstOrDefault(part => part.StartsWith("path=", StringComparison.Ordinal)) is { } path)
            {
                visible.Add(Around(path["path=".Length..]));
                // swtpm's second socket, for what is no TPM command.
                visible.Add(Around($"{path["path=".Length..]}.ctrl"));
            }
        }
    }

    /// <summary>A socket's directory, so that a daemon may make its socket anew; the socket alone where that would show all of /run.</summary>
    static string Around(string socket) => Path.GetDirectoryName(socket) is { } directory and not ("/run" or "/var/run" or "/tmp" or "/") ? directory : socket;
}
