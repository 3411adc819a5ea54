using System.Text.RegularExpressions;

namespace HsmRemote.Services.Containers;

/// <summary>The user namespace that podman puts containers in by its configuration, containers.conf(5). It says so to nobody who asks.</summary>
static partial class PodmanConfiguration
{
    const string Table = "containers";

    /// <summary>What holds for root's podman on this host; null: nothing is said.</summary>
    /// <param name="withVariable">Whether the caller's environment counts. A unit of systemd's does not have it.</param>
    internal static string? UserNamespace(bool withVariable)
    {
        var named = withVariable ? Environment.GetEnvironmentVariable("PODMAN_USERNS") : null;
        return string.IsNullOrEmpty(named) ? Files(withVariable).Select(Read).OfType<string>().Select(UserNamespaceIn).LastOrDefault(value => value is not null) : named;
    }

    // The later ones win; CONTAINERS_CONF takes the place of all.
    static IEnumerable<string> Files(bool withVariable)
    {
        if (withVariable && Environment.GetEnvironmentVariable("CONTAINERS_CONF") is { Length: > 0 } only)
            return [only];
        const string DropIns = "/etc/containers/containers.conf.d";
        return
        [
            "/usr/share/containers/containers.conf", "/etc/containers/containers.conf",
            .. Directory.Exists(DropIns) ? Directory.GetFiles(DropIns, "*.conf").Order(StringComparer.Ordinal) : Enumerable.Empty<string>(),
        ];
    }

    static string? Read(string path)
    {
        try
        {
            return File.ReadAllText(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>The value in one file, or null.</summary>
    internal static string? UserNamespaceIn(string toml)
    {
        var table = "";
        string? found = null;
        foreach (var line in toml.Split('\n'))
        {
            if (TableLine().Match(line) is { Success: true } header)
                table = header.Groups["name"].Value;
            else if (table is Table && UserNamespaceLine().Match(line) is { Success: true } setting)
                found = setting.Groups["value"].Value;
        }

        return found;
    }

    [GeneratedRegex(@"\A\s*\[\s*(?<name>[^\]]*?)\s*\]", RegexOptions.CultureInvariant, 1000)]
    private static partial Regex TableLine();

    [GeneratedRegex(@"\A\s*userns\s*=\s*(?<quote>['""])(?<value>.*?)\k<quote>", RegexOptions.CultureInvariant | RegexOptions.ExplicitCapture, 1000)]
    private static partial Regex UserNamespaceLine();
}
