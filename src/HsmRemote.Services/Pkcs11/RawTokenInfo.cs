using System.Globalization;
using System.Text;
using HsmRemote.Services.P11Kit;

namespace HsmRemote.Services.Pkcs11;

/// <summary>CK_TOKEN_INFO as it came, from a module or through a socket: bytes with their padding, numbers as they are.</summary>
sealed record RawTokenInfo
{
    internal required byte[] Label { get; init; }

    internal required byte[] Manufacturer { get; init; }

    internal required byte[] Model { get; init; }

    internal required byte[] SerialNumber { get; init; }

    internal required ulong Flags { get; init; }

    internal required ulong MaxSessionCount { get; init; }

    internal required ulong SessionCount { get; init; }

    internal required ulong MaxReadWriteSessionCount { get; init; }

    internal required ulong ReadWriteSessionCount { get; init; }

    internal required ulong MaxPinLength { get; init; }

    internal required ulong MinPinLength { get; init; }

    internal required ulong TotalPublicMemory { get; init; }

    internal required ulong FreePublicMemory { get; init; }

    internal required ulong TotalPrivateMemory { get; init; }

    internal required ulong FreePrivateMemory { get; init; }

    internal required byte HardwareMajor { get; init; }

    internal required byte HardwareMinor { get; init; }

    internal required byte FirmwareMajor { get; init; }

    internal required byte FirmwareMinor { get; init; }

    internal required byte[] UtcTime { get; init; }

    internal Pkcs11Token ToToken(ulong slotId, RawSlotInfo slot, ModuleEntry? module = null, string? socketPath = null) => new()
    {
        Uri = Pkcs11Uri.ForToken(Label, Manufacturer, Model, SerialNumber),
        Label = Text(Label),
        Manufacturer = Text(Manufacturer),
        Model = Text(Model),
        SerialNumber = Text(SerialNumber),
        SlotId = slotId,
        SlotDescription = Text(slot.Description),
        SlotManufacturer = Text(slot.Manufacturer),
        SlotFlags = (Pkcs11SlotFlags)unchecked((int)slot.Flags),
        SlotHardwareVersion = new Version(slot.HardwareMajor, slot.HardwareMinor),
        SlotFirmwareVersion = new Version(slot.FirmwareMajor, slot.FirmwareMinor),
        Flags = (Pkcs11TokenFlags)unchecked((int)Flags),
        HardwareVersion = new Version(HardwareMajor, HardwareMinor),
        FirmwareVersion = new Version(FirmwareMajor, FirmwareMinor),
        MaxSessionCount = Known(MaxSessionCount),
        SessionCount = Known(SessionCount),
        MaxReadWriteSessionCount = Known(MaxReadWriteSessionCount),
        ReadWriteSessionCount = Known(ReadWriteSessionCount),
        MaxPinLength = Known(MaxPinLength),
        MinPinLength = Known(MinPinLength),
        TotalPublicMemory = Known(TotalPublicMemory),
        FreePublicMemory = Known(FreePublicMemory),
        TotalPrivateMemory = Known(TotalPrivateMemory),
        FreePrivateMemory = Known(FreePrivateMemory),
        UtcTime = Time(),
        Type = Type(slot, module),
        Module = module?.Name,
        ModulePath = module?.Path,
        SocketPath = socketPath,
    };

    // The standard pads with spaces, some modules with NULs. The URI keeps the NULs, because p11-kit compares them.
    internal static string Text(byte[] field) => Encoding.UTF8.GetString(field.AsSpan().TrimEnd(" \0"u8));

    // p11tool takes the one from the slot, the other from the configuration of the module.
    static string Type(RawSlotInfo slot, ModuleEntry? module)
    {
        var isHardware = ((Pkcs11SlotFlags)unchecked((int)slot.Flags)).HasFlag(Pkcs11SlotFlags.HardwareSlot);
        return (isHardware, module is { IsTrustPolicy: true }) switch
        {
            (true, true) => "Hardware token, Trust module",
            (true, false) => "Hardware token",
            (false, true) => "Trust module",
            _ => "Generic token",
        };
    }

    // CK_UNAVAILABLE_INFORMATION is ~0UL, which a 32-bit module or server sends as 32 bits of ones.
    static ulong? Known(ulong value) => value is ulong.MaxValue or uint.MaxValue ? null : value;

    DateTimeOffset? Time()
    {
        // YYYYMMDDhhmmss and two reserved characters; without the flag the field is anything.
        const int Length = 14;
        var hasClock = ((Pkcs11TokenFlags)unchecked((int)Flags)).HasFlag(Pkcs11TokenFlags.ClockOnToken);
        return hasClock && UtcTime.Length >= Length
            && DateTimeOffset.TryParseExact(
                Encoding.ASCII.GetString(UtcTime, 0, Length), "yyyyMMddHHmmss", CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var time)
            ? time
            : null;
    }
}
