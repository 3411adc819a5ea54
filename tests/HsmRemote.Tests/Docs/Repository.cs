using System.Reflection;

namespace HsmRemote.Tests.Docs;

/// <summary>The checkout that these tests were built from, and the module that was published from it.</summary>
static class Repository
{
    internal static string Pages { get; } = Path.Combine(Metadata("RepositoryRoot"), "docs/en-US");

    internal static string Sources { get; } = Path.Combine(Metadata("RepositoryRoot"), "src");

    /// <summary>'./build.sh Build' makes it; without it there is nothing to hold the pages against.</summary>
    internal static string Module { get; } = Metadata("ModuleOutput");

    static string Metadata(string key) =>
        typeof(Repository).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().First(a => string.Equals(a.Key, key, StringComparison.Ordinal)).Value!;
}
