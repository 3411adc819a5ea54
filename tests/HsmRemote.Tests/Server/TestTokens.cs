using System.Text;

namespace HsmRemote.Tests.Server;

static class TestTokens
{
    /// <summary>A token that is initialised, and has these fields.</summary>
    internal static Pkcs11Token Make(string label, string model, string serial, ulong slotId = 0) => new()
    {
        Uri = Pkcs11Uri.ForToken(Encoding.UTF8.GetBytes(label), "maker"u8, Encoding.UTF8.GetBytes(model), Encoding.UTF8.GetBytes(serial)),
        Label = label,
        Manufacturer = "maker",
        Model = model,
        SerialNumber = serial,
        SlotId = slotId,
        SlotDescription = "",
        SlotManufacturer = "",
        SlotFlags = default,
        Flags = Pkcs11TokenFlags.TokenInitialized,
        HardwareVersion = new Version(1, 0),
        FirmwareVersion = new Version(1, 0),
        Module = "test",
    };
}
