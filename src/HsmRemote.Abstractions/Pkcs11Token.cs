namespace HsmRemote;

/// <summary>A token in a slot, with every field of CK_TOKEN_INFO and CK_SLOT_INFO (PKCS #11 v2.40 section 3.2).</summary>
public sealed class Pkcs11Token
{
    /// <summary>The token's URI, as p11tool prints it. Binds to -Uri.</summary>
    public required Pkcs11Uri Uri { get; init; }

    /// <summary>The label given when the token was initialised, without its padding.</summary>
    public required string Label { get; init; }

    /// <summary>The maker of the token.</summary>
    public required string Manufacturer { get; init; }

    /// <summary>The model of the token.</summary>
    public required string Model { get; init; }

    /// <summary>The serial number. Many PIV tokens share 00000000.</summary>
    public required string SerialNumber { get; init; }

    /// <summary>The slot's number in its module. Not stable over restarts for some modules (SoftHSM).</summary>
    public required ulong SlotId { get; init; }

    /// <summary>What the slot calls itself.</summary>
    public required string SlotDescription { get; init; }

    /// <summary>The maker of the slot, that is of the reader.</summary>
    public required string SlotManufacturer { get; init; }

    /// <summary>What the slot says of itself.</summary>
    public required Pkcs11SlotFlags SlotFlags { get; init; }

    /// <summary>The slot's hardware version.</summary>
    public required Version SlotHardwareVersion { get; init; }

    /// <summary>The slot's firmware version.</summary>
    public required Version SlotFirmwareVersion { get; init; }

    /// <summary>What p11tool calls it: <c>Hardware token</c> when the slot says that it is hardware, <c>Trust module</c> when its module is
    /// configured with <c>trust-policy: yes</c>, both with a comma between them, or <c>Generic token</c>.</summary>
    public required string Type { get; init; }

    /// <summary>What the token says of itself.</summary>
    public required Pkcs11TokenFlags Flags { get; init; }

    /// <summary>The token's hardware version.</summary>
    public required Version HardwareVersion { get; init; }

    /// <summary>The token's firmware version.</summary>
    public required Version FirmwareVersion { get; init; }

    /// <summary>The most sessions one application may have; 0 means no limit, null that the token does not say.</summary>
    public ulong? MaxSessionCount { get; init; }

    /// <summary>The sessions that are open, or null when the token does not say.</summary>
    public ulong? SessionCount { get; init; }

    /// <summary>The most read/write sessions one application may have; 0 means no limit, null that the token does not say.</summary>
    public ulong? MaxReadWriteSessionCount { get; init; }

    /// <summary>The read/write sessions that are open, or null when the token does not say.</summary>
    public ulong? ReadWriteSessionCount { get; init; }

    /// <summary>The longest PIN, in bytes.</summary>
    public ulong? MaxPinLength { get; init; }

    /// <summary>The shortest PIN, in bytes.</summary>
    public ulong? MinPinLength { get; init; }

    /// <summary>The memory for public objects, in bytes, or null when the token does not say.</summary>
    public ulong? TotalPublicMemory { get; init; }

    /// <summary>The memory left for public objects, in bytes, or null when the token does not say.</summary>
    public ulong? FreePublicMemory { get; init; }

    /// <summary>The memory for private objects, in bytes, or null when the token does not say.</summary>
    public ulong? TotalPrivateMemory { get; init; }

    /// <summary>The memory left for private objects, in bytes, or null when the token does not say.</summary>
    public ulong? FreePrivateMemory { get; init; }

    /// <summary>The time of the token's clock, or null when it has none.</summary>
    public DateTimeOffset? UtcTime { get; init; }

    /// <summary>The name of the module in p11-kit's configuration (<c>softhsm2</c>), or null when the token was read elsewhere.</summary>
    public string? Module { get; init; }

    /// <summary>The module's file, or null when the token was read through a socket.</summary>
    public string? ModulePath { get; init; }

    /// <summary>The socket that the token was read through, or null when it was read from a module.</summary>
    public string? SocketPath { get; init; }

    /// <summary>Whether the token has been initialised. Only an initialised token has a label and keys.</summary>
    public bool IsInitialized => Flags.HasFlag(Pkcs11TokenFlags.TokenInitialized);

    /// <summary>Whether this is p11-kit's store of trusted certificates, which holds no keys.</summary>
    public bool IsTrustModule => Model is "p11-kit-trust";

    /// <inheritdoc/>
    public override string ToString() => Uri.ToString();
}
