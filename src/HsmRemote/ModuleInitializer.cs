using System.Management.Automation;

namespace HsmRemote;

/// <summary>Makes <c>[Pkcs11Uri]</c> a type of the session when the module is imported, and no more when it is removed.</summary>
/// <remarks>Without it, even the full name would be unknown until a cmdlet has used the type, since its assembly is loaded only then.</remarks>
public sealed class ModuleInitializer : IModuleAssemblyInitializer, IModuleAssemblyCleanup
{
    /// <inheritdoc/>
    public void OnImport() => Accelerators?.GetMethod("Add")?.Invoke(null, [nameof(Pkcs11Uri), typeof(Pkcs11Uri)]);

    /// <inheritdoc/>
    public void OnRemove(PSModuleInfo psModuleInfo) => Accelerators?.GetMethod("Remove")?.Invoke(null, [nameof(Pkcs11Uri)]);

    // The engine has no public way to it; this one is that of about_Classes.
    static Type? Accelerators => typeof(PSObject).Assembly.GetType("System.Management.Automation.TypeAccelerators");
}
