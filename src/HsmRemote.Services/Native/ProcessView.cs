using System.Globalization;
using System.Text;

namespace HsmRemote.Services.Native;

/// <summary>What /proc says of a process, proc(5): who it is, and what it sees.</summary>
sealed class ProcessView
{
    readonly string directory;

    ProcessView(string directory) => this.directory = directory;

    internal static ProcessView Of(int process) => new(string.Create(CultureInfo.InvariantCulture, $"/proc/{process}"));

    /// <summary>Its root directory, from the outside.</summary>
    internal string Root => $"{directory}/root";

    /// <summary>Whether a path means the same file to it as to us.</summary>
    /// <remarks>The same root directory is not enough: another mount namespace may have the same root, and other mounts below.</remarks>
    internal bool SeesOurFiles =>
        FileStatus.TryRead($"{directory}/ns/mnt", out var theirs) == 0 && FileStatus.TryRead("/proc/self/ns/mnt", out var ours) == 0 && theirs.IsSameFileAs(ours)
        && FileStatus.TryRead(Root, out var root) == 0 && FileStatus.TryRead("/", out var ownRoot) == 0 && root.IsSameFileAs(ownRoot);

    /// <summary>A path that the process sees, as we reach it. Only without symbolic links on the way: those would lead out of its root.</summary>
    internal static string Reach(P11Identity identity, string realPath) => identity.ProcessId is { } process ? Of(process).Root + realPath : realPath;

    /// <summary>Whether a group of this host's is one in its user namespace, so that it can be given it: user_namespaces(7), gid_map.</summary>
    internal bool HasGroup(uint id)
    {
        try
        {
            return File.ReadLines($"{directory}/gid_map")
                .Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(number => long.Parse(number, CultureInfo.InvariantCulture)).ToArray())
                .Any(range => id >= range[1] && id < range[1] + range[2]);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return true;
        }
    }

    /// <summary>The ids that count for files (those of the file system, which follow the effective ones), as numbers of this host.</summary>
    /// <exception cref="HsmRemoteException">There is no such process, or the caller may not look into it.</exception>
    internal static (uint UserId, uint GroupId, uint[] Groups) Identity(int process)
    {
        string[] lines;
        try
        {
            lines = File.ReadAllLines($"{Of(process).directory}/status");
        }
        catch (UnauthorizedAccessException e)
        {
            throw NotReadable($"Process {process}", process, e);
        }
        catch (IOException)
        {
            throw NotFound(process);
        }

        return (Numbers("Uid:")[3], Numbers("Gid:")[3], Numbers("Groups:"));

        uint[] Numbers(string name) =>
            [.. lines.First(line => line.StartsWith(name, StringComparison.Ordinal))[name.Length..]
                .Split([' ', '\t'], StringSplitOptions.RemoveEmptyEntries)
                .Select(number => uint.Parse(number, CultureInfo.InvariantCulture))];
    }

    /// <summary>The environment that it was started with.</summary>
    /// <exception cref="HsmRemoteException">There is no such process, or the caller may not look into it.</exception>
    internal static IReadOnlyDictionary<string, string> Environment(int process)
    {
        string text;
        try
        {
            text = Encoding.UTF8.GetString(File.ReadAllBytes($"{Of(process).directory}/environ"));
        }
        catch (UnauthorizedAccessException e)
        {
            throw NotReadable($"The environment of process {process}", process, e);
        }
        catch (IOException)
        {
            throw NotFound(process);
        }

        Dictionary<string, string> variables = new(StringComparer.Ordinal);
        foreach (var line in text.Split('\0'))
        {
            // getenv(3) finds the first.
            if (line.Split('=', 2) is [var name, var value])
                variables.TryAdd(name, value);
        }

        return variables;
    }

    /// <summary>The arguments that it was started with; none when it has ended.</summary>
    internal static string[] CommandLine(int process) => Read(process, "cmdline")?.TrimEnd('\0').Split('\0') ?? [];

    /// <summary>The name of the program that it runs, cut to 15 bytes; null when it has ended.</summary>
    internal static string? CommandName(int process) => Read(process, "comm")?.Trim();

    /// <summary>When it was started, in hundredths of a second since the boot (proc_pid_stat(5)); null when it has ended, also where nobody has asked how yet.</summary>
    internal static ulong? StartTicks(int process) =>
        Statistic(process, 3) is not "Z" && ulong.TryParse(Statistic(process, 22), CultureInfo.InvariantCulture, out var ticks) ? ticks : null;

    /// <summary>The same as a time of day; a clock that was set since counts as it is now.</summary>
    internal static DateTimeOffset StartTime(ulong startTicks)
    {
        var uptime = double.Parse(File.ReadAllText("/proc/uptime").Split(' ')[0], CultureInfo.InvariantCulture);
        return DateTimeOffset.Now - TimeSpan.FromSeconds(uptime - (startTicks / 100.0));
    }

    /// <summary>The process that it is a child of; null when it has ended.</summary>
    internal static int? Parent(int process) => int.TryParse(Statistic(process, 4), CultureInfo.InvariantCulture, out var parent) ? parent : null;

    /// <summary>Its control groups, a line for each hierarchy; empty when it has ended.</summary>
    internal static string ControlGroups(int process) => Read(process, "cgroup") ?? "";

    // The fields follow the program's name, which may have anything in it; the name is the second.
    static string? Statistic(int process, int field) =>
        Read(process, "stat") is { } line ? line[(line.LastIndexOf(')') + 1)..].Split(' ', StringSplitOptions.RemoveEmptyEntries).ElementAtOrDefault(field - 3) : null;

    static HsmRemoteException NotReadable(string what, int process, Exception e) => new(
        "ProcessNotReadable", FailureKind.PermissionDenied, $"{what} may be read by its own user and by root only.",
        "Run this as root, for example with sudo, or say which socket with -Name or -SocketPath.", process, e);

    internal static HsmRemoteException NotFound(int process) => new(
        "ProcessNotFound", FailureKind.NotFound, $"There is no process {process}.", "It has ended, or the number is one of another PID namespace: take the host's.", process);

    static string? Read(int process, string file)
    {
        try
        {
            return File.ReadAllText($"{Of(process).directory}/{file}");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }
}
