using System.Runtime.InteropServices;
using HsmRemote.Services.Native;

namespace HsmRemote.Services.P11Kit;

/// <summary>A module that p11-kit is configured with.</summary>
/// <param name="Name">The name of its file, without <c>.module</c>.</param>
/// <param name="Path">Its library, absolute; null when it is remote.</param>
/// <param name="Remote">Where it is reached, as <c>remote:</c> says; null when it is a library.</param>
sealed record ModuleEntry(string Name, string? Path, string? Remote);

/// <summary>The modules of this host, as p11-kit reads them from its files: pkcs11.conf(5).</summary>
static class ModuleConfiguration
{
    const string Ending = ".module";
    const string SystemConfiguration = "/etc/pkcs11/pkcs11.conf";
    const string SystemDirectory = "/etc/pkcs11/modules";
    const string PackageDirectory = "/usr/share/p11-kit/modules";

    /// <summary>The modules that are enabled in this program, the one of the highest priority first.</summary>
    internal static IReadOnlyList<ModuleEntry> Read() => Read(Path.GetFileName(Environment.ProcessPath) ?? "");

    /// <summary>The modules that are enabled in a program, the one of the highest priority first.</summary>
    internal static IReadOnlyList<ModuleEntry> Read(string program)
    {
        Dictionary<string, Dictionary<string, string>> modules = new(StringComparer.Ordinal);
        foreach (var file in Directories().Where(Directory.Exists).SelectMany(d => Directory.EnumerateFiles(d, $"*{Ending}")))
        {
            var name = Path.GetFileName(file)[..^Ending.Length];
            if (!modules.TryGetValue(name, out var keys))
                modules[name] = keys = new(StringComparer.Ordinal);
            // The directories come in order of precedence: a later one only adds what is not said yet.
            foreach (var (key, value) in ReadKeys(file))
                keys.TryAdd(key, value);
        }

        return
        [
            .. modules
                .Where(m => IsEnabledIn(program, m.Value))
                .OrderByDescending(m => int.TryParse(m.Value.GetValueOrDefault("priority"), out var priority) ? priority : 0)
                .ThenBy(m => m.Key, StringComparer.Ordinal)
                .Select(m => ToEntry(m.Key, m.Value))
                .OfType<ModuleEntry>(),
        ];
    }

    /// <summary>Where p11-kit looks, in order of precedence. Root's own files do not count, nor do others where the host forbids it.</summary>
    static IEnumerable<string> Directories()
    {
        var userMode = File.Exists(SystemConfiguration) ? ReadKeys(SystemConfiguration).GetValueOrDefault("user-config", "merge") : "merge";
        if (Accounts.geteuid() != 0 && userMode is not "none")
        {
            var configuration = Environment.GetEnvironmentVariable("XDG_CONFIG_HOME")
                ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".config");
            yield return Path.Combine(configuration, "pkcs11/modules");
            if (userMode is "only")
                yield break;
        }

        yield return SystemDirectory;
        yield return PackageDirectory;
    }

    static Dictionary<string, string> ReadKeys(string file)
    {
        Dictionary<string, string> keys = new(StringComparer.Ordinal);
        foreach (var line in File.ReadLines(file))
        {
            if (line.Split(':', 2, StringSplitOptions.TrimEntries) is [var key, var value] && !key.StartsWith('#'))
                keys[key] = value;
        }

        return keys;
    }

    /// <summary>enable-in and disable-in name the programs in which a module is there, or is not.</summary>
    static bool IsEnabledIn(string program, Dictionary<string, string> keys)
    {
        if (keys.TryGetValue("enable-in", out var enabled))
            return Names(enabled).Contains(program, StringComparer.Ordinal);
        return !keys.TryGetValue("disable-in", out var disabled) || !Names(disabled).Contains(program, StringComparer.Ordinal);

        static string[] Names(string list) => list.Split([' ', ',', '\t'], StringSplitOptions.RemoveEmptyEntries);
    }

    static ModuleEntry? ToEntry(string name, Dictionary<string, string> keys)
    {
        if (keys.GetValueOrDefault("remote") is { Length: > 0 } remote)
            return new ModuleEntry(name, null, remote);
        // A blank one switches the module off.
        return keys.GetValueOrDefault("module") is { Length: > 0 } module ? new ModuleEntry(name, Absolute(module), null) : null;
    }

    /// <summary>A relative path is one under p11-kit's own directory of modules, which differs between distributions.</summary>
    static string Absolute(string module)
    {
        if (Path.IsPathRooted(module))
            return module;
        var architecture = RuntimeInformation.ProcessArchitecture switch
        {
            Architecture.X64 => "x86_64-linux-gnu",
            Architecture.Arm64 => "aarch64-linux-gnu",
            Architecture.RiscV64 => "riscv64-linux-gnu",
            Architecture.Arm => "arm-linux-gnueabihf",
            var other => $"{other}",
        };
        string[] places = [$"/usr/lib/{architecture}/pkcs11", "/usr/lib64/pkcs11", "/usr/lib/pkcs11"];
        return Path.Combine(Array.Find(places, directory => File.Exists(Path.Combine(directory, module))) ?? places[0], module);
    }
}
