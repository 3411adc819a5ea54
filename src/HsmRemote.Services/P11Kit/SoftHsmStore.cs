using HsmRemote.Services.Native;

namespace HsmRemote.Services.P11Kit;

/// <summary>Where SoftHSM keeps its tokens: it writes there even to read, so a sandboxed server needs to.</summary>
static class SoftHsmStore
{
    const string DefaultConfiguration = "/etc/softhsm/softhsm2.conf";
    const string DefaultDirectory = "/var/lib/softhsm/tokens/";

    /// <summary>The token directory of the host's configuration, or of the user's own, softhsm2.conf(5).</summary>
    internal static string Directory(P11KitServerScope scope = P11KitServerScope.System)
    {
        var own = $"{Caller.Home}/.config/softhsm2/softhsm2.conf";
        var configuration = scope == P11KitServerScope.User && File.Exists(own) ? own : DefaultConfiguration;
        if (!File.Exists(configuration))
            return DefaultDirectory;
        return File.ReadLines(configuration)
            .Select(line => line.Split('=', 2, StringSplitOptions.TrimEntries))
            .Where(pair => pair is ["directories.tokendir", _])
            .Select(pair => pair[1])
            .LastOrDefault(DefaultDirectory);
    }
}
