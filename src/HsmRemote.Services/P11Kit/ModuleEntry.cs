using System.Globalization;
using HsmRemote.Services.Native;

namespace HsmRemote.Services.P11Kit;

/// <summary>A module that p11-kit is configured with, or one that is read by its path alone.</summary>
/// <param name="Name">The name of its file, without <c>.module</c>.</param>
/// <param name="Files">The files that configure it, the one that counts most first; none when it was given by its path.</param>
/// <param name="Options">The keys of its files, merged.</param>
sealed record ModuleEntry(string Name, IReadOnlyList<string> Files, IReadOnlyDictionary<string, string> Options)
{
    /// <summary>Why p11-kit does not use it in the program that was asked for; null when it does.</summary>
    internal string? NotUsed { get; init; }

    /// <summary>Where it is reached, as <c>remote:</c> says; null when it is a library.</summary>
    internal string? Remote { get; } = Options.GetValueOrDefault("remote");

    /// <summary>Its library, absolute; null when it is remote, or switched off by a blank <c>module:</c>.</summary>
    internal string? Path { get; } =
        Options.ContainsKey("remote") || Options.GetValueOrDefault("module") is not { Length: > 0 } module ? null : LibraryDirectories.Absolute(module);

    /// <summary>Which come first: the higher. As atoi(3) reads it.</summary>
    internal int Priority { get; } = Number(Options.GetValueOrDefault("priority", ""));

    /// <summary>Whether p11-kit loads nothing when it does not load.</summary>
    internal bool IsCritical { get; } = Options.GetValueOrDefault("critical") is "yes";

    /// <summary>Whether it is a source of trusted certificates, which p11tool calls a trust module.</summary>
    internal bool IsTrustPolicy { get; } = Options.GetValueOrDefault("trust-policy") is "yes";

    /// <summary>Whether it is p11-kit's own store of trusted certificates, which holds no keys.</summary>
    internal bool IsTrustStore => System.IO.Path.GetFileName(Path) is "p11-kit-trust.so";

    /// <summary>What stands for it in messages: its library, or where it is reached.</summary>
    internal string Location => Path ?? Remote ?? "no library";

    /// <summary>A library that p11-kit is not configured with.</summary>
    internal static ModuleEntry OfLibrary(string path) =>
        new(System.IO.Path.GetFileNameWithoutExtension(path), [], new Dictionary<string, string>(StringComparer.Ordinal) { ["module"] = path });

    /// <summary>The module that p11-kit is configured with for a library, by whatever links; else the library alone.</summary>
    internal static ModuleEntry OfLibrary(string path, IReadOnlyList<ModuleEntry> configured) =>
        configured.FirstOrDefault(module => module.IsLibrary(path)) ?? OfLibrary(path);

    /// <summary>Whether it is this library, by whatever links.</summary>
    internal bool IsLibrary(string path) => Path is not null && string.Equals(FinalPath.Of(Path), FinalPath.Of(path), StringComparison.Ordinal);

    static int Number(string text)
    {
        var digits = text.AsSpan();
        var length = digits is ['-' or '+', ..] ? 1 : 0;
        while (length < digits.Length && char.IsAsciiDigit(digits[length]))
            length++;
        return int.TryParse(digits[..length], NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number) ? number : 0;
    }
}
