using System.Collections.Concurrent;
using System.Reflection;
using System.Runtime.InteropServices;
using Net.Pkcs11Interop.Common;
using Net.Pkcs11Interop.LowLevelAPI80;

namespace HsmRemote.Services.Pkcs11;

/// <summary>A PKCS #11 module loaded into this process. It may hang or crash: callers run it on a thread that they can abandon.</summary>
static class Pkcs11Module
{
    // C_Finalize ends a module for the whole process, so that two readers of one module must take turns.
    static readonly ConcurrentDictionary<string, Lock> Turns = new(StringComparer.Ordinal);

    static Pkcs11Module() => NativeLibrary.SetDllImportResolver(typeof(Pkcs11Library).Assembly, ResolveLibdl);

    /// <summary>Every token of a module, in slot order.</summary>
    /// <param name="name">The module's name in p11-kit's configuration, or null.</param>
    /// <param name="path">Its library.</param>
    /// <param name="tokenFailed">Told of each token that cannot be read; the others are listed.</param>
    /// <exception cref="Pkcs11ErrorException">A function failed, and nothing can be listed.</exception>
    /// <exception cref="UnmanagedException">The library cannot be loaded, or is no PKCS #11 module.</exception>
    internal static IReadOnlyList<Pkcs11Token> ReadTokens(string? name, string path, Action<Pkcs11ErrorException> tokenFailed) =>
        Use(path, library => ReadTokens(library, name, path, tokenFailed));

    /// <summary>Does something with a module that is initialised.</summary>
    /// <param name="path">Its library.</param>
    /// <param name="work">What to do; it may leave nothing behind.</param>
    /// <exception cref="Pkcs11ErrorException">A function failed.</exception>
    /// <exception cref="UnmanagedException">The library cannot be loaded, or is no PKCS #11 module.</exception>
    internal static T Use<T>(string path, Func<Pkcs11Library, T> work)
    {
        lock (Turns.GetOrAdd(path, _ => new Lock()))
        {
            // One reference more than Dispose gives back: some modules crash when they are unloaded.
            NativeLibrary.TryLoad(path, out _);
            using var library = new Pkcs11Library(path);
            var arguments = new CK_C_INITIALIZE_ARGS { Flags = CKF.CKF_OS_LOCKING_OK };
            var initialized = library.C_Initialize(arguments);
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

    internal static List<Pkcs11Token> ReadTokens(Pkcs11Library library, string? name, string path, Action<Pkcs11ErrorException> tokenFailed)
    {
        List<Pkcs11Token> tokens = [];
        foreach (var slotId in ReadSlots(library))
        {
            try
            {
                var slot = default(CK_SLOT_INFO);
                Check(library.C_GetSlotInfo(slotId, ref slot), "C_GetSlotInfo");
                var token = default(CK_TOKEN_INFO);
                Check(library.C_GetTokenInfo(slotId, ref token), "C_GetTokenInfo");
                tokens.Add(ToRaw(token).ToToken(slotId, ToRaw(slot), name, path));
            }
            catch (Pkcs11ErrorException e) when (e.ReturnValue == ReturnValue.TokenNotPresent)
            {
                // Pulled out since the list was made.
            }
            catch (Pkcs11ErrorException e)
            {
                tokenFailed(e);
            }
        }

        return tokens;
    }

    static ulong[] ReadSlots(Pkcs11Library library)
    {
        while (true)
        {
            ulong count = 0;
            Check(library.C_GetSlotList(tokenPresent: true, null!, ref count), "C_GetSlotList");
            if (count == 0)
                return [];
            var slots = new ulong[count];
            var result = library.C_GetSlotList(tokenPresent: true, slots, ref count);
            // A token was plugged in between the two calls: ask again.
            if (result is CKR.CKR_BUFFER_TOO_SMALL)
                continue;
            Check(result, "C_GetSlotList");
            return [.. slots.Take((int)Math.Min(count, (ulong)slots.Length))];
        }
    }

    static RawSlotInfo ToRaw(in CK_SLOT_INFO slot) => new(
        slot.SlotDescription, slot.ManufacturerId, slot.Flags,
        slot.HardwareVersion.Major[0], slot.HardwareVersion.Minor[0], slot.FirmwareVersion.Major[0], slot.FirmwareVersion.Minor[0]);

    static RawTokenInfo ToRaw(in CK_TOKEN_INFO token) => new()
    {
        Label = token.Label,
        Manufacturer = token.ManufacturerId,
        Model = token.Model,
        SerialNumber = token.SerialNumber,
        Flags = token.Flags,
        MaxSessionCount = token.MaxSessionCount,
        SessionCount = token.SessionCount,
        MaxReadWriteSessionCount = token.MaxRwSessionCount,
        ReadWriteSessionCount = token.RwSessionCount,
        MaxPinLength = token.MaxPinLen,
        MinPinLength = token.MinPinLen,
        TotalPublicMemory = token.TotalPublicMemory,
        FreePublicMemory = token.FreePublicMemory,
        TotalPrivateMemory = token.TotalPrivateMemory,
        FreePrivateMemory = token.FreePrivateMemory,
        HardwareMajor = token.HardwareVersion.Major[0],
        HardwareMinor = token.HardwareVersion.Minor[0],
        FirmwareMajor = token.FirmwareVersion.Major[0],
        FirmwareMinor = token.FirmwareVersion.Minor[0],
        UtcTime = token.UtcTime,
    };

    internal static void Check(CKR result, string function)
    {
        if (result != CKR.CKR_OK)
            throw new Pkcs11ErrorException(function, (ulong)result);
    }

    // Pkcs11Interop asks for "libdl", a name that only development packages have.
    static nint ResolveLibdl(string libraryName, Assembly assembly, DllImportSearchPath? searchPath) =>
        libraryName is "libdl" && NativeLibrary.TryLoad("libdl.so.2", out var handle) ? handle : 0;
}
