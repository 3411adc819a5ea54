using System.Runtime.InteropServices;

namespace HsmRemote.Services.Pkcs11;

// The structures of PKCS #11 v2.40 section 3, with the alignment of C on Unix. CK_ULONG is as long as a pointer. Native code fills them.
#pragma warning disable CS0649

/// <summary>CK_FUNCTION_LIST, as far as it is used.</summary>
[StructLayout(LayoutKind.Sequential)]
unsafe struct FunctionList
{
    internal NativeVersion Version;
    internal delegate* unmanaged<InitializeArguments*, nuint> Initialize;
    internal delegate* unmanaged<void*, nuint> Complete;
    internal delegate* unmanaged<NativeInfo*, nuint> GetInfo;
    internal void* GetFunctionList;
    internal delegate* unmanaged<byte, nuint*, nuint*, nuint> GetSlotList;
    internal delegate* unmanaged<nuint, NativeSlotInfo*, nuint> GetSlotInfo;
    internal delegate* unmanaged<nuint, NativeTokenInfo*, nuint> GetTokenInfo;
}

/// <summary>CK_VERSION.</summary>
[StructLayout(LayoutKind.Sequential)]
struct NativeVersion
{
    internal byte Major;
    internal byte Minor;
}

/// <summary>CK_C_INITIALIZE_ARGS.</summary>
[StructLayout(LayoutKind.Sequential)]
struct InitializeArguments
{
    internal nint CreateMutex;
    internal nint DestroyMutex;
    internal nint LockMutex;
    internal nint UnlockMutex;
    internal nuint Flags;
    internal nint Reserved;
}

/// <summary>CK_INFO.</summary>
[StructLayout(LayoutKind.Sequential)]
unsafe struct NativeInfo
{
    internal NativeVersion CryptokiVersion;
    internal fixed byte Manufacturer[32];
    internal nuint Flags;
    internal fixed byte LibraryDescription[32];
    internal NativeVersion LibraryVersion;
}

/// <summary>CK_SLOT_INFO.</summary>
[StructLayout(LayoutKind.Sequential)]
unsafe struct NativeSlotInfo
{
    internal fixed byte Description[64];
    internal fixed byte Manufacturer[32];
    internal nuint Flags;
    internal NativeVersion HardwareVersion;
    internal NativeVersion FirmwareVersion;
}

/// <summary>CK_TOKEN_INFO.</summary>
[StructLayout(LayoutKind.Sequential)]
unsafe struct NativeTokenInfo
{
    internal fixed byte Label[32];
    internal fixed byte Manufacturer[32];
    internal fixed byte Model[16];
    internal fixed byte SerialNumber[16];
    internal nuint Flags;
    internal nuint MaxSessionCount;
    internal nuint SessionCount;
    internal nuint MaxReadWriteSessionCount;
    internal nuint ReadWriteSessionCount;
    internal nuint MaxPinLength;
    internal nuint MinPinLength;
    internal nuint TotalPublicMemory;
    internal nuint FreePublicMemory;
    internal nuint TotalPrivateMemory;
    internal nuint FreePrivateMemory;
    internal NativeVersion HardwareVersion;
    internal NativeVersion FirmwareVersion;
    internal fixed byte UtcTime[16];
}
