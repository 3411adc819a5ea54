using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using HsmRemote.Services.P11KitRpc;

namespace HsmRemote.Services.Pkcs11;

/// <summary>The functions of a PKCS #11 module that is loaded into this process, called by their addresses: CK_FUNCTION_LIST of PKCS #11 v2.40.</summary>
/// <remarks>
/// Pkcs11Interop does the same with a delegate for each of the 68 functions and a marshaller for each structure; making them
/// costs a fresh process more than reading the tokens.
/// </remarks>
sealed unsafe class NativeModule
{
    /// <summary>The most slots that are read. A module that claims more is not believed.</summary>
    internal const int MaxSlots = RpcLimits.Slots;

    // A library is never unloaded: some modules crash when they are.
    static readonly ConcurrentDictionary<string, NativeModule> Loaded = new(StringComparer.Ordinal);

    readonly FunctionList* functions;

    NativeModule(FunctionList* functions) => this.functions = functions;

    /// <summary>Loads a library.</summary>
    /// <exception cref="DllNotFoundException">It cannot be loaded; the message has what the loader said.</exception>
    /// <exception cref="EntryPointNotFoundException">It is no PKCS #11 module.</exception>
    internal static NativeModule Load(string path) => Loaded.GetOrAdd(path, static path =>
    {
        nint library;
        try
        {
            library = NativeLibrary.Load(path);
        }
        catch (DllNotFoundException e)
        {
            // What the loader said is the last line, after .NET's advice.
            throw new DllNotFoundException($"the library cannot be loaded: {e.Message.TrimEnd().Split('\n')[^1]}", e);
        }

        if (!NativeLibrary.TryGetExport(library, "C_GetFunctionList", out var getFunctionList))
            throw new EntryPointNotFoundException("it has no C_GetFunctionList, so it is no PKCS #11 module");
        FunctionList* list = null;
        Check(((delegate* unmanaged<FunctionList**, nuint>)getFunctionList)(&list), "C_GetFunctionList");
        return list is not null ? new NativeModule(list) : throw new EntryPointNotFoundException("C_GetFunctionList gave no list of functions");
    });

    /// <summary>C_Initialize, with locking by the operating system.</summary>
    /// <param name="reserved">What the module's own <c>x-init-reserved</c> says, or null.</param>
    /// <returns>False when somebody else in this process had initialised it: they want it afterwards.</returns>
    internal bool Initialize(string? reserved)
    {
        const nuint OsLockingOk = 0x2;
        var text = Marshal.StringToCoTaskMemUTF8(reserved);
        try
        {
            var arguments = new InitializeArguments { Flags = OsLockingOk, Reserved = text };
            var result = functions->Initialize(&arguments);
            if (result == ReturnValue.CryptokiAlreadyInitialized)
                return false;
            Check(result, "C_Initialize");
            return true;
        }
        finally
        {
            Marshal.FreeCoTaskMem(text);
        }
    }

    /// <summary>C_Finalize. That it fails changes nothing any more.</summary>
    internal void Complete() => functions->Complete(null);

    internal RawInfo GetInfo()
    {
        NativeInfo info;
        Check(functions->GetInfo(&info), "C_GetInfo");
        return new RawInfo(
            ToVersion(info.CryptokiVersion), Bytes(info.Manufacturer, 32), info.Flags, Bytes(info.LibraryDescription, 32), ToVersion(info.LibraryVersion));

        static Version ToVersion(NativeVersion version) => new(version.Major, version.Minor);
    }

    /// <summary>The slots that have a token.</summary>
    /// <exception cref="InvalidDataException">What the module says of their number cannot be.</exception>
    internal ulong[] GetSlotList()
    {
        // The first call only asks for the number: some modules look for new tokens in it and nowhere else.
        nuint count = 0;
        Check(functions->GetSlotList(1, null, &count), "C_GetSlotList");
        if (count == 0)
            return [];
        if (count > MaxSlots)
            throw Lie(count);

        // Room for as many as there may ever be, so that one more that is plugged in between the calls fits.
        var slots = new nuint[MaxSlots];
        count = MaxSlots;
        fixed (nuint* first = slots)
            Check(functions->GetSlotList(1, first, &count), "C_GetSlotList");
        if (count > MaxSlots)
            throw Lie(count);
        var found = new ulong[(int)count];
        for (var i = 0; i < found.Length; i++)
            found[i] = slots[i];
        return found;

        static InvalidDataException Lie(nuint count) => new($"C_GetSlotList says that there are {count} slots, and at most {MaxSlots} are read");
    }

    internal RawSlotInfo GetSlotInfo(ulong slot)
    {
        NativeSlotInfo info;
        Check(functions->GetSlotInfo((nuint)slot, &info), "C_GetSlotInfo");
        return new RawSlotInfo(
            Bytes(info.Description, 64), Bytes(info.Manufacturer, 32), info.Flags,
            info.HardwareVersion.Major, info.HardwareVersion.Minor, info.FirmwareVersion.Major, info.FirmwareVersion.Minor);
    }

    internal RawTokenInfo GetTokenInfo(ulong slot)
    {
        NativeTokenInfo info;
        Check(functions->GetTokenInfo((nuint)slot, &info), "C_GetTokenInfo");
        return new RawTokenInfo
        {
            Label = Bytes(info.Label, 32),
            Manufacturer = Bytes(info.Manufacturer, 32),
            Model = Bytes(info.Model, 16),
            SerialNumber = Bytes(info.SerialNumber, 16),
            Flags = info.Flags,
            MaxSessionCount = info.MaxSessionCount,
            SessionCount = info.SessionCount,
            MaxReadWriteSessionCount = info.MaxReadWriteSessionCount,
            ReadWriteSessionCount = info.ReadWriteSessionCount,
            MaxPinLength = info.MaxPinLength,
            MinPinLength = info.MinPinLength,
            TotalPublicMemory = info.TotalPublicMemory,
            FreePublicMemory = info.FreePublicMemory,
            TotalPrivateMemory = info.TotalPrivateMemory,
            FreePrivateMemory = info.FreePrivateMemory,
            HardwareMajor = info.HardwareVersion.Major,
            HardwareMinor = info.HardwareVersion.Minor,
            FirmwareMajor = info.FirmwareVersion.Major,
            FirmwareMinor = info.FirmwareVersion.Minor,
            UtcTime = Bytes(info.UtcTime, 16),
        };
    }

    static byte[] Bytes(byte* field, int length) => new ReadOnlySpan<byte>(field, length).ToArray();

    static void Check(nuint result, string function)
    {
        if (result != ReturnValue.Ok)
            throw new Pkcs11ErrorException(function, result);
    }
}
