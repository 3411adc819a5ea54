using HsmRemote.Services.Native;

namespace HsmRemote.Services.P11Kit;

/// <summary>Where SoftHSM keeps its tokens: it writes there even to read, so a sandboxed server needs to.</summary>
static class SoftHsmStore
{
    /// <summary>The variable that names another configuration.</summary>
    internal const string Variable = "SOFTHSM2_CONF";

    const string DefaultConfiguration = "/etc/softhsm/softhsm2.conf";
    const string DefaultDirectory = "/var/lib/softhsm/tokens/";

    /// <summary>The token directory of a configuration, softhsm2.conf(5).</summary>
    /// <param name="configuration">Its file; null: the user's own, for an instance of a user that has one, else the host's.</param>
    /// <param name="scope">Whose instance reads it.</param>
    internal static string Directory(string? configuration, P11KitServerScope scope)
    {
        var own = $"{Caller.Home}/.config/softhsm2/softhsm2.conf";
        var file = configuration ?? (scope == P11KitServerScope.User && File.Exists(own) ? own : DefaultConfiguration);
        if (!File.Exists(file))
            return DefaultDirectory;
        return File.ReadLines(file)
            .Select(line => line.Split('=', 2, StringSplitOptions.TrimEntries))
            .Where(pair => pair is ["directories.tokendir", _])
            .Select(pair => pair[1])
            .LastOrDefault(DefaultDirectory);
    }
}
