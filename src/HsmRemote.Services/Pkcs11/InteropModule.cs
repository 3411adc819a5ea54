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
    /// <exception cref="UnmanagedException">The library cannot be loaded, or is no PKCS #11 module.</exception>
    internal static T Use<T>(ModuleEntry module, Func<Pkcs11Library, T> work)
    {
        var path = module.Path!;
        lock (ModuleContents.Turn(path))
        {
            // One reference more than Dispose gives back: some modules crash when they are unloaded.
            NativeLibrary.TryLoad(path, out _);
            using var library = new Pkcs11Library(path);
            var initialized = Initialize(library, module.Options.GetValueOrDefault("x-init-reserved"));
            if (initialized is not CKR.CKR_CRYPTOKI_ALREADY_INITIALIZED)
                Check(initialized, "C_Initialize");
            try
            {
                return work(library);
            }
            finally
            {
                // Whoever initialised it before us still wants it.
                if (initialized is CKR.CKR_OK)
                    library.C_Finalize(0);
            }
        }
    }

    static CKR Initialize(Pkcs11Library library, string? reserved)
    {
        var text = Marshal.StringToCoTaskMemUTF8(reserved);
        try
        {
            return library.C_Initialize(new() { Flags = CKF.CKF_OS_LOCKING_OK, Reserved = text });
        }
        finally
        {
            Marshal.FreeCoTaskMem(text);
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
