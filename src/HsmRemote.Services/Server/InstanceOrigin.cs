using HsmRemote.Services.Native;
using HsmRemote.Services.Systemd;

namespace HsmRemote.Services.Server;

/// <summary>What came with an instance and what it found there, as the unit that listens remembers: only the former goes with it.</summary>
/// <param name="Made">The directories that were made for it: of its configuration, and those above its socket.</param>
/// <param name="Found">The drop-ins of its units that were there before it, and their directories.</param>
sealed record InstanceOrigin(IReadOnlyList<string> Made, IReadOnlyList<string> Found)
{
    const string MadeKey = "Made";
    const string FoundKey = "Found";

    /// <summary>What the instance is to remember; null for one that has remembered nothing so far.</summary>
    /// <param name="layout">The instance.</param>
    /// <param name="socketPath">Where its socket is to be.</param>
    /// <param name="adoption">What it was before it was taken over, which remembers whose its directories are; null: it was not.</param>
    /// <param name="others">The other instances: a directory that came with one of them goes with the last.</param>
    internal static InstanceOrigin? Of(InstanceLayout layout, string socketPath, Adoption? adoption, IEnumerable<InstanceLayout> others)
    {
        var known = Read(layout);
        if (known is null && ServerInventory.HasOurs(layout))
            return null;
        List<string> ours = [.. known?.Made ?? [], .. others.SelectMany(other => Read(other)?.Made ?? [])];
        return new(
            [.. Above(socketPath).Where(directory => adoption?.NeedsDirectory(directory) is not true)
                .Concat(adoption is null ? [layout.ConfigDirectory] : []).Distinct(StringComparer.Ordinal)
                .Where(directory => !Directory.Exists(directory) || ours.Exists(made => SamePath.Is(made, directory)) || (known is null && UninstallPlanner.IsLeft(directory)))],
            known?.Found ?? [.. layout.Units.Select(unit => $"{layout.UnitPath(unit)}.d").Where(Directory.Exists)
                .SelectMany(directory => Directory.GetFiles(directory).Prepend(directory))]);
    }

    /// <summary>What an instance remembers; null when there is none, or it remembers nothing.</summary>
    internal static InstanceOrigin? Read(InstanceLayout layout)
    {
        foreach (var unit in layout.Units)
        {
            var remembered = InstanceUnits.Remembered(layout.UnitPath(unit));
            if (remembered.Contains(MadeKey))
                return new([.. Paths(remembered[MadeKey])], [.. Paths(remembered[FoundKey])]);
        }

        return null;

        static IEnumerable<string> Paths(IEnumerable<string> written) => written.Where(path => path.Length > 0).Select(path => path[..^1]);
    }

    /// <summary>What goes with an instance that remembers nothing: what only systemd can have made.</summary>
    internal static InstanceOrigin Assumed(InstanceLayout layout, string? socketPath) => new(
        [layout.ConfigDirectory, .. socketPath?.StartsWith("/run/", StringComparison.Ordinal) is true ? [Path.GetDirectoryName(socketPath)!] : Array.Empty<string>()],
        []);

    /// <summary>The lines that a unit remembers it by. The end of each keeps a backslash or a space from ending its line.</summary>
    internal IEnumerable<(string Key, string Value)> Lines =>
        (Made.Count == 0 ? [""] : Made.Select(path => $"{path}/")).Select(path => (MadeKey, path)).Concat(Found.Select(path => (FoundKey, $"{path}/")));

    /// <summary>Whether a file or directory was there before the instance.</summary>
    internal bool HasFound(string path) => Found.Contains(path, StringComparer.Ordinal);

    /// <summary>The directories that were made for a socket, from the one that holds it upwards.</summary>
    internal IEnumerable<string> MadeAbove(string socketPath) => Above(socketPath).Where(directory => Made.Any(made => SamePath.Is(made, directory)));

    static IEnumerable<string> Above(string path)
    {
        for (var directory = Path.GetDirectoryName(path)!; directory.Length > 1; directory = Path.GetDirectoryName(directory)!)
            yield return directory;
    }
}
