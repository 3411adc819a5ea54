using System.Runtime.InteropServices;
using System.Text;

namespace HsmRemote.Fuzz.Uris;

/// <summary>A URI as libp11-kit.so.0 reads it: p11-kit/uri.h. The structures are those of a machine whose CK_ULONG has 8 bytes.</summary>
sealed partial class P11KitUri : IDisposable
{
    const string Library = "libp11-kit.so.0";
    const int Room = 256;

    nint uri = New();

    // What the URI may be for.
    internal const uint ForToken = 1 << 2;
    internal const uint ForAny = 0xFFFF;

    /// <summary>What the last parse said: 0, or an error.</summary>
    internal int Result { get; private set; }

    internal bool IsUnrecognized => AnyUnrecognized(uri) != 0;

    internal bool HasPin => GetPinValue(uri) != 0 || GetPinSource(uri) != 0;

    /// <summary>CK_UNAVAILABLE_INFORMATION when the URI does not say.</summary>
    internal ulong SlotId => GetSlotId(uri);

    internal bool Parse(string text, uint use)
    {
        // p11_kit_uri_parse leaves in a URI what it had of a slot, so that each text needs a new one.
        FreeUri(uri);
        uri = New();
        Result = Parse(text.AsSpan(), use);
        return Result == 0;
    }

    /// <summary>Parses into a URI of its own, and forgets it.</summary>
    /// <param name="text">The URI, and a NUL behind it.</param>
    internal static unsafe void ParseOnce(byte[] text)
    {
        var once = New();
        fixed (byte* start = text)
        {
            if (Parse(start, ForAny, once) != 0)
                throw new InvalidOperationException("p11_kit_uri_parse refused a URI.");
        }

        FreeUri(once);
    }

    unsafe int Parse(ReadOnlySpan<char> text, uint use)
    {
        var bytes = new byte[Encoding.UTF8.GetByteCount(text) + 1];
        Encoding.UTF8.GetBytes(text, bytes);
        fixed (byte* start = bytes)
            return Parse(start, use, uri);
    }

    /// <summary>The canonical form, without a PIN.</summary>
    internal string Format()
    {
        SetPinValue(uri, 0);
        SetPinSource(uri, 0);
        if (Format(uri, ForAny, out var text) != 0)
            throw new InvalidOperationException("p11_kit_uri_format failed.");
        try
        {
            return Marshal.PtrToStringUTF8(text)!;
        }
        finally
        {
            Free(text);
        }
    }

    /// <summary>Compares with a token's CK_TOKEN_INFO, of which the fields have their full size.</summary>
    internal unsafe bool MatchesToken(byte[] label, byte[] manufacturer, byte[] model, byte[] serial)
    {
        var info = stackalloc byte[Room];
        Put(info, 0, [.. label, .. manufacturer, .. model, .. serial]);
        return MatchTokenInfo(uri, info) != 0;
    }

    /// <summary>Compares with a module's CK_INFO, of which the fields have their full size.</summary>
    internal unsafe bool MatchesModule(byte[] description, byte[] manufacturer, Version version)
    {
        const int Manufacturer = 2;
        const int Description = 48;
        const int LibraryVersion = 80;
        var info = stackalloc byte[Room];
        Put(info, Manufacturer, manufacturer);
        Put(info, Description, description);
        Put(info, LibraryVersion, [(byte)version.Major, (byte)version.Minor]);
        return MatchModuleInfo(uri, info) != 0;
    }

    /// <summary>Compares with a slot's CK_SLOT_INFO, of which the fields have their full size.</summary>
    internal unsafe bool MatchesSlot(byte[] description, byte[] manufacturer)
    {
        var info = stackalloc byte[Room];
        Put(info, 0, [.. description, .. manufacturer]);
        return MatchSlotInfo(uri, info) != 0;
    }

    /// <summary>Compares with an object's CKA_CLASS, CKA_LABEL and CKA_ID.</summary>
    internal unsafe bool MatchesObject(ulong objectClass, byte[] label, byte[] id)
    {
        const ulong Class = 0x0;
        const ulong Label = 0x3;
        const ulong Id = 0x102;

        // An empty value has a place all the same.
        fixed (byte* labelStart = (byte[])[.. label, 0], idStart = (byte[])[.. id, 0])
        {
            var attributes = stackalloc ulong[9]
            {
                Class, (ulong)&objectClass, sizeof(ulong), Label, (ulong)labelStart, (ulong)label.Length, Id, (ulong)idStart, (ulong)id.Length,
            };
            return MatchAttributes(uri, attributes, 3) != 0;
        }
    }

    public void Dispose() => FreeUri(uri);

    static unsafe void Put(byte* info, int offset, ReadOnlySpan<byte> value) => value.CopyTo(new Span<byte>(info + offset, Room - offset));

    [LibraryImport(Library, EntryPoint = "p11_kit_uri_new")]
    private static partial nint New();

    [LibraryImport(Library, EntryPoint = "p11_kit_uri_free")]
    private static partial void FreeUri(nint uri);

    [LibraryImport(Library, EntryPoint = "p11_kit_uri_parse")]
    private static unsafe partial int Parse(byte* text, uint use, nint uri);

    [LibraryImport(Library, EntryPoint = "p11_kit_uri_format")]
    private static partial int Format(nint uri, uint use, out nint text);

    [LibraryImport(Library, EntryPoint = "p11_kit_uri_any_unrecognized")]
    private static partial int AnyUnrecognized(nint uri);

    [LibraryImport(Library, EntryPoint = "p11_kit_uri_get_slot_id")]
    private static partial ulong GetSlotId(nint uri);

    [LibraryImport(Library, EntryPoint = "p11_kit_uri_get_pin_value")]
    private static partial nint GetPinValue(nint uri);

    [LibraryImport(Library, EntryPoint = "p11_kit_uri_get_pin_source")]
    private static partial nint GetPinSource(nint uri);

    [LibraryImport(Library, EntryPoint = "p11_kit_uri_set_pin_value")]
    private static partial void SetPinValue(nint uri, nint pin);

    [LibraryImport(Library, EntryPoint = "p11_kit_uri_set_pin_source")]
    private static partial void SetPinSource(nint uri, nint source);

    [LibraryImport(Library, EntryPoint = "p11_kit_uri_match_token_info")]
    private static unsafe partial int MatchTokenInfo(nint uri, byte* info);

    [LibraryImport(Library, EntryPoint = "p11_kit_uri_match_module_info")]
    private static unsafe partial int MatchModuleInfo(nint uri, byte* info);

    [LibraryImport(Library, EntryPoint = "p11_kit_uri_match_slot_info")]
    private static unsafe partial int MatchSlotInfo(nint uri, byte* info);

    [LibraryImport(Library, EntryPoint = "p11_kit_uri_match_attributes")]
    private static unsafe partial int MatchAttributes(nint uri, ulong* attributes, ulong count);

    [LibraryImport("libc", EntryPoint = "free")]
    private static partial void Free(nint memory);
}
