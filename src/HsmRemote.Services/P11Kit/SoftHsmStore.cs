namespace HsmRemote.Services.P11Kit;

/// <summary>Where SoftHSM keeps its tokens: it writes there even to read, so a sandboxed server needs to.</summary>
static class SoftHsmStore
{
    const string DefaultConfiguration = "/etc/softhsm/softhsm2.conf";
    const string DefaultDirectory = "/var/lib/softhsm/tokens/";

    /// <summary>The token directory of the host's configuration, softhsm2.conf(5).</summary>
    internal static string Directory()
    {
        if (!File.Exists(DefaultConfiguration))
            return DefaultDirectory;
        return File.ReadLines(DefaultConfiguration)
            .Select(line => line.Split('=', 2, StringSplitOptions.TrimEntries))
            .Where(pair => pair is ["directories.tokendir", _])
            .Select(pair => pair[1])
            .LastOrDefault(DefaultDirectory);
    }
}
