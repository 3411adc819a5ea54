using System.Runtime.InteropServices;

namespace HsmRemote.Services.Native;

/// <summary>sd-bus(3) and sd-journal(3) of libsystemd. Only its non-variadic functions: they alone can be called from here.</summary>
static partial class Libsystemd
{
    const string Library = "libsystemd.so.0";

    /// <summary>sd_bus_error of &lt;systemd/sd-bus-protocol.h&gt;.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct BusError
    {
        public nint Name;
        public nint Message;
        public int NeedFree;
    }

    [LibraryImport(Library)]
    internal static partial int sd_bus_open_system(out BusHandle bus);

    [LibraryImport(Library)]
    internal static partial int sd_bus_new(out BusHandle bus);

    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int sd_bus_set_address(BusHandle bus, string address);

    [LibraryImport(Library)]
    internal static partial int sd_bus_start(BusHandle bus);

    [LibraryImport(Library)]
    internal static partial nint sd_bus_flush_close_unref(nint bus);

    [LibraryImport(Library)]
    internal static partial nint sd_bus_message_unref(nint message);

    [LibraryImport(Library)]
    internal static partial void sd_bus_error_free(ref BusError error);

    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int sd_bus_message_new_method_call(
        BusHandle bus, out BusMessageHandle message, string destination, string path, string interfaceName, string member);

    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int sd_bus_message_append_basic(BusMessageHandle message, byte type, string value);

    [LibraryImport(Library)]
    internal static partial int sd_bus_message_append_basic(BusMessageHandle message, byte type, in int value);

    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int sd_bus_message_open_container(BusMessageHandle message, byte type, string contents);

    [LibraryImport(Library)]
    internal static partial int sd_bus_message_close_container(BusMessageHandle message);

    [LibraryImport(Library)]
    internal static partial int sd_bus_call(BusHandle bus, BusMessageHandle message, ulong microseconds, ref BusError error, out BusMessageHandle reply);

    [LibraryImport(Library)]
    internal static partial int sd_bus_process(BusHandle bus, out BusMessageHandle message);

    [LibraryImport(Library)]
    internal static partial int sd_bus_wait(BusHandle bus, ulong microseconds);

    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int sd_bus_message_is_signal(BusMessageHandle message, string interfaceName, string member);

    [LibraryImport(Library)]
    internal static partial int sd_bus_message_peek_type(BusMessageHandle message, out byte type, out nint contents);

    [LibraryImport(Library)]
    internal static partial int sd_bus_message_enter_container(BusMessageHandle message, byte type, nint contents);

    [LibraryImport(Library)]
    internal static partial int sd_bus_message_exit_container(BusMessageHandle message);

    [LibraryImport(Library)]
    internal static unsafe partial int sd_bus_message_read_basic(BusMessageHandle message, byte type, void* value);

    [LibraryImport(Library)]
    internal static partial int sd_journal_open(out nint journal, int flags);

    [LibraryImport(Library)]
    internal static partial void sd_journal_close(nint journal);

    [LibraryImport(Library)]
    internal static partial int sd_journal_add_match(nint journal, byte[] match, nuint size);

    [LibraryImport(Library)]
    internal static partial int sd_journal_add_disjunction(nint journal);

    [LibraryImport(Library)]
    internal static partial int sd_journal_seek_tail(nint journal);

    [LibraryImport(Library)]
    internal static partial int sd_journal_previous(nint journal);

    [LibraryImport(Library)]
    internal static partial int sd_journal_get_realtime_usec(nint journal, out ulong microseconds);

    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int sd_journal_get_data(nint journal, string field, out nint data, out nuint length);
}

/// <summary>sd_bus *.</summary>
sealed class BusHandle() : SafeHandle(0, ownsHandle: true)
{
    public override bool IsInvalid => handle == 0;

    protected override bool ReleaseHandle()
    {
        Libsystemd.sd_bus_flush_close_unref(handle);
        return true;
    }
}

/// <summary>sd_bus_message *.</summary>
sealed class BusMessageHandle() : SafeHandle(0, ownsHandle: true)
{
    public override bool IsInvalid => handle == 0;

    protected override bool ReleaseHandle()
    {
        Libsystemd.sd_bus_message_unref(handle);
        return true;
    }
}
