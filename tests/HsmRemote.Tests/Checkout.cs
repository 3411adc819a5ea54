using System.Reflection;

namespace HsmRemote.Tests;

/// <summary>The checkout that these tests were built from, and what './build.sh Build' made of it, which is what they test.</summary>
static class Checkout
{
    internal static string Root { get; } = Metadata("RepositoryRoot");

    internal static string Pages { get; } = Path.Combine(Root, "docs/en-US");

    internal static string Sources { get; } = Path.Combine(Root, "src");

    internal static string Shell { get; } = Path.Combine(Metadata("OutputRoot"), "shell");

    internal static string Module { get; } = Metadata("ModuleOutput");

    internal static string Manifest { get; } = Path.Combine(Module, "HsmRemote.psd1");

    static string Metadata(string key) =>
        typeof(Checkout).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().Single(a => string.Equals(a.Key, key, StringComparison.Ordinal)).Value!;
}
