using System.Globalization;
using System.Text.RegularExpressions;

namespace HsmRemote.Services.Native;

/// <summary>The mounts that a process sees: /proc/N/mountinfo, proc(5).</summary>
static partial class MountTable
{
    const string Deleted = "//deleted";

    /// <summary>What is mounted: a part of a file system, at a place.</summary>
    sealed record Mount(string Device, string Part, string Place);

    /// <summary>Where the host has, or had, the file that a process sees at a path; null where the host does not see that file system.</summary>
    internal static string? HostPath(int process, string realPath)
    {
        try
        {
            var mount = Read(string.Create(CultureInfo.InvariantCulture, $"/proc/{process}/mountinfo"))
                .Where(m => Below(m.Place, realPath) is not null)
                .OrderBy(m => m.Place.Length)
                .LastOrDefault();
            if (mount is null)
                return null;
            var inside = Join(mount.Part, Below(mount.Place, realPath)!);
            return Read("/proc/self/mountinfo")
                .Where(own => string.Equals(own.Device, mount.Device, StringComparison.Ordinal) && Below(own.Part, inside) is not null)
                .Select(own => Join(own.Place, Below(own.Part, inside)!))
                .FirstOrDefault();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>Processes of other mount namespaces, one of each, that have a directory of this one mounted: those of containers, as a rule.</summary>
    internal static IReadOnlyList<int> ProcessesWithMount(string directory)
    {
        var own = Read("/proc/self/mountinfo").Where(mount => Below(mount.Place, directory) is not null).OrderBy(mount => mount.Place.Length).Last();
        var part = Join(own.Part, Below(own.Place, directory)!);
        List<int> found = [];
        var seen = new HashSet<string?>(StringComparer.Ordinal) { Namespace("self") };
        foreach (var process in Directory.EnumerateDirectories("/proc").Select(Path.GetFileName).Where(name => char.IsAsciiDigit(name![0])))
        {
            try
            {
                if (seen.Add(Namespace(process!)) && Read($"/proc/{process}/mountinfo").Exists(mount => string.Equals(mount.Device, own.Device, StringComparison.Ordinal) && string.Equals(mount.Part, part, StringComparison.Ordinal)))
                    found.Add(int.Parse(process!, CultureInfo.InvariantCulture));
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // It has ended, or is another user's.
            }
        }

        return found;

        static string? Namespace(string process) => new FileInfo($"/proc/{process}/ns/mnt").LinkTarget;
    }

    // id, parent, device, part, place, …
    static List<Mount> Read(string file) =>
        [.. File.ReadLines(file).Select(line => line.Split(' ')).Select(field => new Mount(field[2], WithoutMark(Unescape(field[3])), Unescape(field[4])))];

    // Of a file or directory that the host has removed since.
    static string WithoutMark(string part) => part.EndsWith(Deleted, StringComparison.Ordinal) ? part[..^Deleted.Length] : part;

    /// <summary>The rest of a path below a directory, with its slash; empty for the directory itself, null outside of it.</summary>
    static string? Below(string directory, string path)
    {
        var start = directory.TrimEnd('/');
        return path.StartsWith(start, StringComparison.Ordinal) && (path.Length == start.Length || path[start.Length] == '/') ? path[start.Length..] : null;
    }

    static string Join(string directory, string rest) => directory.TrimEnd('/') + rest;

    static string Unescape(string field) => Octal().Replace(field, match => $"{(char)Convert.ToInt32(match.Value[1..], 8)}");

    [GeneratedRegex(@"\\[0-7]{3}", RegexOptions.CultureInvariant, 1000)]
    private static partial Regex Octal();
}
