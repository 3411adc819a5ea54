using System.Reflection;
using System.Runtime.InteropServices;
using HsmRemote.Services.P11Kit;
using Net.Pkcs11Interop.Common;
using Net.Pkcs11Interop.LowLevelAPI80;

namespace HsmRemote.Services.Pkcs11;

/// <summary>A module in this process, for what takes sessions. It may hang or crash: callers run it on a thread that they can abandon.</summary>
static class InteropModule
{
    static InteropModule() => NativeLibrary.SetDllImportResolver(typeof(Pkcs11Library).Assembly, ResolveLibdl);

    /// <summary>Does something with a module that is initialised.</summary>
    /// <param name="module">The module, which has a library.</param>
    /// <param name="work">What to do; it may leave nothing behind.</param>
    /// <exception cref="Pkcs11ErrorException">A function failed.</exception>
    /// <exception cref="DllNotFoundException">The library cannot be loaded.</exception>
    /// <exception cref="EntryPointNotFoundException">It is no PKCS #11 module.</exception>
    internal static T Use<T>(ModuleEntry module, Func<Pkcs11Library, T> work)
    {
        var path = module.Path!;
        lock (ModuleContents.Turn(path))
        {
            // It stays loaded when Dispose gives its reference back: some modules crash when they are unloaded.
            var native = NativeModule.Load(path);
            using var library = new Pkcs11Library(path);
            var isOurs = native.Initialize(module.Options.GetValueOrDefault("x-init-reserved"));
            try
            {
                return work(library);
            }
            finally
            {
                // Whoever initialised it before us still wants it.
                if (isOurs)
                    native.Complete();
            }
        }
    }

    internal static void Check(CKR result, string function)
    {
        if (result != CKR.CKR_OK)
            throw new Pkcs11ErrorException(function, (ulong)result);
    }

    // Pkcs11Interop asks for "libdl", a name that only development packages have.
    static nint ResolveLibdl(string libraryName, Assembly assembly, DllImportSearchPath? searchPath) =>
        libraryName is "libdl" && NativeLibrary.TryLoad("libdl.so.2", out var handle) ? handle : 0;
}
