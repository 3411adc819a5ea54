using System.Reflection;
using System.Runtime.Loader;

namespace HsmRemote;

/// <summary>
/// Loads the services, and the third-party assemblies that they need, from Dependencies/ into a context of their own: a
/// session may hold other versions of the same assemblies, and neither side notices.
/// </summary>
sealed class ServiceLoader : AssemblyLoadContext
{
    static readonly Lazy<IHsmRemoteServices> Loaded = new(Load);

    readonly string directory;

    ServiceLoader(string directory)
        : base("HsmRemote") => this.directory = directory;

    internal static IHsmRemoteServices Services => Loaded.Value;

    protected override Assembly? Load(AssemblyName assemblyName)
    {
        // The types that both sides speak in must be the same ones.
        var shared = typeof(IHsmRemoteServices).Assembly;
        if (string.Equals(assemblyName.Name, shared.GetName().Name, StringComparison.Ordinal))
            return shared;
        var path = Path.Combine(directory, $"{assemblyName.Name}.dll");
        return File.Exists(path) ? LoadFromAssemblyPath(path) : null;
    }

    static IHsmRemoteServices Load()
    {
        var dependencies = Path.Combine(Path.GetDirectoryName(typeof(ServiceLoader).Assembly.Location)!, "Dependencies");
        var assembly = new ServiceLoader(dependencies).LoadFromAssemblyPath(Path.Combine(dependencies, "HsmRemote.Services.dll"));
        return (IHsmRemoteServices)Activator.CreateInstance(assembly.GetType("HsmRemote.Services.HsmRemoteServices", throwOnError: true)!)!;
    }
}
