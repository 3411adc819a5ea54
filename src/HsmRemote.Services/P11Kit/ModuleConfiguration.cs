using System.Runtime.InteropServices;
using System.Text;

namespace HsmRemote.Services.P11Kit;

/// <summary>The modules of this host, as p11-kit reads them from its files: pkcs11.conf(5).</summary>
static partial class ModuleConfiguration
{
    internal const string Ending = ".module";
    internal const string SystemDirectory = "/etc/pkcs11/modules";
    internal const string PackageDirectory = "/usr/share/p11-kit/modules";

    const string SystemFile = "/etc/pkcs11/pkcs11.conf";
    const string ProxyLibrary = "p11-kit-proxy.so";

    /// <summary>The directory of the caller's own modules.</summary>
    internal static string UserDirectory => Path.Combine(UserConfiguration, "modules");

    /// <summary>Whether the caller's own configuration counts, and whether the host's does besides.</summary>
    internal enum UserMode
    {
        None,
        Merge,
        Only,
    }

    static string UserConfiguration => Path.Combine(
        Environment.GetEnvironmentVariable("XDG_CONFIG_HOME") is { Length: > 0 } home
            ? home
            : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".config"),
        "pkcs11");

    /// <summary>What p11-kit calls this program in <c>enable-in</c> and <c>disable-in</c>: the last part of what it was started as.</summary>
    internal static string ThisProgram()
    {
        var commandLine = File.ReadAllBytes("/proc/self/cmdline").AsSpan();
        var end = commandLine.IndexOf((byte)0);
        return Path.GetFileName(Encoding.UTF8.GetString(end < 0 ? commandLine : commandLine[..end]));
    }

    /// <summary>The modules that a program gets from p11-kit, in p11-kit's order.</summary>
    internal static IReadOnlyList<ModuleEntry> Read(string program) => [.. ReadAll(program, new NoReporter()).Where(module => module.NotUsed is null)];

    /// <summary>Every module that is configured, in p11-kit's order; each says whether and why a program does not get it.</summary>
    /// <param name="program">The program.</param>
    /// <param name="reporter">Told of each file that p11-kit cannot read. It then loads no module at all; here the others are read.</param>
    internal static IReadOnlyList<ModuleEntry> ReadAll(string program, IReporter reporter)
    {
        Dictionary<string, List<string>> files = new(StringComparer.Ordinal);
        Dictionary<string, Dictionary<string, string>> options = new(StringComparer.Ordinal);
        foreach (var file in Directories(Mode(reporter)).SelectMany(directory => Files(directory, reporter)))
        {
            if (TryRead(file, reporter) is not { } keys)
                continue;
            var name = NameOf(file, reporter);
            if (!options.TryAdd(name, keys))
            {
                // The directories come in order of precedence: a later one only adds what is not said yet.
                foreach (var (key, value) in keys)
                    options[name].TryAdd(key, value);
                files[name].Add(file);
            }
            else
                files[name] = [file];
        }

        List<ModuleEntry> entries = [.. options.Keys.Select(name => new ModuleEntry(name, files[name], options[name]))];
        entries.Sort(static (a, b) => a.Priority != b.Priority ? b.Priority.CompareTo(a.Priority) : string.CompareOrdinal(a.Name, b.Name));
        for (var i = 0; i < entries.Count; i++)
            entries[i] = entries[i] with { NotUsed = WhyNotUsed(entries[i], program, entries.GetRange(0, i)) };
        return entries;
    }

    /// <summary>What pkcs11.conf makes of the caller's own configuration. Root's never counts.</summary>
    internal static UserMode Mode(IReporter reporter)
    {
        var mode = UserModeOf(SystemFile, UserMode.Merge, reporter);
        if (mode == UserMode.None || getuid() == 0 || Environment.GetEnvironmentVariable("P11_KIT_NO_USER_CONFIG") is not null)
            return UserMode.None;
        return UserModeOf(Path.Combine(UserConfiguration, "pkcs11.conf"), mode, reporter);
    }

    static UserMode UserModeOf(string file, UserMode otherwise, IReporter reporter)
    {
        if (!File.Exists(file) || TryRead(file, reporter) is not { } keys || !keys.TryGetValue("user-config", out var mode))
            return otherwise;
        switch (mode)
        {
            case "none": return UserMode.None;
            case "merge": return UserMode.Merge;
            case "only" or "override": return UserMode.Only;
            default:
                reporter.Error(Malformed(file, $"'user-config: {mode}' is none of none, merge and only"));
                return otherwise;
        }
    }

    static IEnumerable<string> Directories(UserMode mode)
    {
        if (mode != UserMode.None)
            yield return UserDirectory;
        if (mode == UserMode.Only)
            yield break;
        yield return SystemDirectory;
        yield return PackageDirectory;
    }

    /// <summary>The directories whose files add to those of a scope.</summary>
    internal static IEnumerable<string> Below(Pkcs11ModuleScope scope) =>
        scope == Pkcs11ModuleScope.System ? [PackageDirectory] : Directories(Mode(new NoReporter())).Except([UserDirectory], StringComparer.Ordinal);

    static string[] Files(string directory, IReporter reporter)
    {
        try
        {
            return Directory.Exists(directory) ? Directory.GetFiles(directory) : [];
        }
        catch (UnauthorizedAccessException e)
        {
            if (!IsOwn(directory))
                reporter.Error(Malformed(directory, e.Message.TrimEnd('.'), e));
            return [];
        }
    }

    static Dictionary<string, string>? TryRead(string file, IReporter reporter)
    {
        try
        {
            return ConfigurationFile.Read(file);
        }
        catch (Exception e) when (e is InvalidDataException or IOException or UnauthorizedAccessException)
        {
            // p11-kit passes over what it may not read among the caller's own files.
            if (e is not UnauthorizedAccessException || !IsOwn(file))
                reporter.Error(Malformed(file, e.Message.TrimEnd('.'), e));
            return null;
        }
    }

    static bool IsOwn(string path) => path.StartsWith(UserConfiguration, StringComparison.Ordinal);

    internal static HsmRemoteException Malformed(string file, string why, Exception? cause = null) => new(
        "ModuleFileMalformed", FailureKind.InvalidData, $"p11-kit cannot read {file}: {why}. As long as it is like that, p11-kit loads no module at all.",
        "Mend or remove the file.", file, cause);

    /// <summary>p11-kit reads every file of a directory, and calls one that is named against its rule by all of its name.</summary>
    static string NameOf(string file, IReporter reporter)
    {
        var name = Path.GetFileName(file);
        if (name.EndsWith(Ending, StringComparison.Ordinal) && IsName(name[..^Ending.Length]))
            return name[..^Ending.Length];
        reporter.Warning($"{file} is not named as a module's file ('NAME{Ending}'). p11-kit reads it all the same; later versions may not.");
        return name;
    }

    /// <summary>Whether a module may be called so: a letter or digit of ASCII, and then also '_', '-' and '.'.</summary>
    internal static bool IsName(string name) =>
        name.Length > 0 && char.IsAsciiLetterOrDigit(name[0]) && name.All(c => char.IsAsciiLetterOrDigit(c) || c is '_' or '-' or '.');

    /// <summary>Why a program does not get a module; null when it does.</summary>
    internal static string? WhyNotUsed(ModuleEntry module, string program, List<ModuleEntry> before)
    {
        // Only enable-in counts where both are given.
        if (module.Options.TryGetValue("enable-in", out var enabled))
        {
            if (!Programs(enabled).Contains(program, StringComparer.Ordinal))
                return $"'enable-in: {enabled}' does not name {program}";
        }
        else if (module.Options.TryGetValue("disable-in", out var disabled) && Programs(disabled).Contains(program, StringComparer.Ordinal))
        {
            return $"'disable-in: {disabled}' names {program}";
        }

        if (module.Remote is not null)
            return null;
        if (module.Path is null)
            return module.Options.ContainsKey("module") ? "'module:' is blank, which switches it off" : "no file of it has 'module:' or 'remote:'";
        if (Path.GetFileName(module.Path) is ProxyLibrary)
            return $"{ProxyLibrary} is p11-kit itself, which it refuses to load";
        return before.Find(other => other.NotUsed is null && other.IsLibrary(module.Path)) is { } same ? $"it is the same library as '{same.Name}'" : null;

        static string[] Programs(string list) => list.Split([',', .. ConfigurationFile.Blanks], StringSplitOptions.RemoveEmptyEntries);
    }

    [LibraryImport("libc")]
    private static partial uint getuid();
}
