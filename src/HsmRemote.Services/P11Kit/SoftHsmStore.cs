namespace HsmRemote.Services.P11Kit;

/// <summary>Where SoftHSM keeps its tokens: it writes there even to read, so a sandboxed server needs to.</summary>
static class SoftHsmStore
{
    /// <summary>The variable that names another configuration.</summary>
    internal const string Variable = "SOFTHSM2_CONF";

    const string DefaultConfiguration = "/etc/softhsm/softhsm2.conf";
    const string DefaultDirectory = "/var/lib/softhsm/tokens/";

    /// <summary>The token directory of a configuration, softhsm2.conf(5).</summary>
    /// <param name="configuration">Its file; null: the host's.</param>
    internal static string Directory(string? configuration = null)
    {
        var file = configuration ?? DefaultConfiguration;
        if (!File.Exists(file))
            return DefaultDirectory;
        return File.ReadLines(file)
            .Select(line => line.Split('=', 2, StringSplitOptions.TrimEntries))
            .Where(pair => pair is ["directories.tokendir", _])
            .Select(pair => pair[1])
            .LastOrDefault(DefaultDirectory);
    }
}
