using System.Reflection;

namespace HsmRemote.Tests;

/// <summary>What './build.sh Build' makes, which is what the tests test.</summary>
static class BuildOutput
{
    internal static string Shell { get; } = Path.Combine(Metadata("OutputRoot"), "shell");

    internal static string Module { get; } = Metadata("ModuleOutput");

    internal static string Manifest { get; } = Path.Combine(Module, "HsmRemote.psd1");

    static string Metadata(string key) =>
        typeof(BuildOutput).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().Single(a => string.Equals(a.Key, key, StringComparison.Ordinal)).Value!;
}
