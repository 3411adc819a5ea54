namespace HsmRemote.Services.Pkcs11;

/// <summary>CK_SLOT_INFO as it came: bytes with their padding, numbers as they are.</summary>
sealed record RawSlotInfo(byte[] Description, byte[] Manufacturer, ulong Flags, byte HardwareMajor, byte HardwareMinor, byte FirmwareMajor, byte FirmwareMinor);
