using System.Runtime.InteropServices;
using HsmRemote.Services.Native;
using static HsmRemote.Services.Native.Libsystemd;

namespace HsmRemote.Services.Systemd;

/// <summary>What the far side of the bus, or the bus itself, said no with.</summary>
sealed class SystemBusException(string name, string message) : Exception(message)
{
    /// <summary>The D-Bus error name, such as <c>org.freedesktop.systemd1.NoSuchUnit</c>.</summary>
    public string Name { get; } = name;
}

/// <summary>A connection to the system bus, or to a user's systemd itself. For one thread at a time.</summary>
sealed class SystemBus : IDisposable
{
    const ulong CallTimeout = 25_000_000;

    readonly BusHandle handle;

    SystemBus(BusHandle handle) => this.handle = handle;

    /// <summary>Fails unless systemd is what this host was booted with, as sd_booted(3) finds it out.</summary>
    /// <exception cref="HsmRemoteException">It is not.</exception>
    internal static void RequireBooted()
    {
        if (!Directory.Exists("/run/systemd/system"))
            throw Unavailable("this host, or this container, was not booted with systemd (there is no /run/systemd/system)", null);
    }

    /// <exception cref="HsmRemoteException">There is no system bus here.</exception>
    internal static SystemBus Open()
    {
        RequireBooted();
        try
        {
            var result = sd_bus_open_system(out var handle);
            if (result >= 0)
                return new SystemBus(handle);
            handle.Dispose();
            throw Unavailable(Marshal.GetPInvokeErrorMessage(-result), null);
        }
        catch (DllNotFoundException e)
        {
            throw Unavailable("libsystemd.so.0 is not installed", e);
        }
    }

    static HsmRemoteException Unavailable(string why, Exception? cause) => new(
        "SystemdUnavailable", FailureKind.Unavailable, $"systemd's manager cannot be reached on the system bus: {why}.",
        "This needs a host that was booted with systemd and runs D-Bus; check with 'systemctl is-system-running'.", "systemd", cause);

    /// <summary>Where the systemd of the caller's own user listens, as systemctl --user finds it; it needs no session bus.</summary>
    internal static string UserManagerSocket => $"{Caller.RuntimeDirectory}/systemd/private";

    /// <exception cref="HsmRemoteException">The user has no systemd that runs.</exception>
    internal static SystemBus OpenUser()
    {
        var result = sd_bus_new(out var handle);
        if (result >= 0)
            result = sd_bus_set_address(handle, $"unix:path={UserManagerSocket}");
        if (result >= 0)
            result = sd_bus_start(handle);
        if (result >= 0)
            return new SystemBus(handle);
        handle.Dispose();
        throw NoUserManager(-result);
    }

    /// <summary>Fails unless the systemd of the caller's own user is there.</summary>
    /// <exception cref="HsmRemoteException">It is not.</exception>
    internal static void RequireUserManager()
    {
        if (FileStatus.TryRead(UserManagerSocket, out _) is not 0 and var error)
            throw NoUserManager(error);
    }

    static HsmRemoteException NoUserManager(int error) => new(
        "UserManagerUnavailable", FailureKind.Unavailable,
        $"The systemd of the user {Caller.UserName} does not run: {UserManagerSocket}: {Marshal.GetPInvokeErrorMessage(error)}.",
        $"Start it with the machine, once, as root: loginctl enable-linger {Caller.UserName}", Caller.UserName);

    /// <summary>Calls a method and returns what it answers, value by value.</summary>
    /// <param name="destination">The bus name.</param>
    /// <param name="path">The object.</param>
    /// <param name="interfaceName">The interface.</param>
    /// <param name="member">The method.</param>
    /// <param name="arguments">Strings, Booleans and arrays of strings.</param>
    /// <exception cref="SystemBusException">The far side answered with an error.</exception>
    /// <exception cref="HsmRemoteException">The bus closed the connection.</exception>
    internal List<object?> Call(string destination, string path, string interfaceName, string member, params ReadOnlySpan<object> arguments)
    {
        Check(sd_bus_message_new_method_call(handle, out var message, destination, path, interfaceName, member), member);
        using (message)
        {
            foreach (var argument in arguments)
                Append(message, argument);

            var error = default(BusError);
            var result = sd_bus_call(handle, message, CallTimeout, ref error, out var reply);
            using (reply)
            {
                if (result >= 0)
                    return ReadAll(reply);
                if (-result is Errno.ENOTCONN or Errno.ECONNRESET)
                {
                    sd_bus_error_free(ref error);
                    throw Unavailable($"it closed the connection, as it does to users whom the host does not know by name (this is {Caller.UserName})", null);
                }

                var name = Marshal.PtrToStringUTF8(error.Name) ?? "";
                var text = Marshal.PtrToStringUTF8(error.Message) ?? Marshal.GetPInvokeErrorMessage(-result);
                sd_bus_error_free(ref error);
                throw new SystemBusException(name, text);
            }
        }
    }

    /// <summary>Takes the next signal of a member, or null when none came within the time.</summary>
    internal List<object?>? NextSignal(string interfaceName, string member, TimeSpan patience)
    {
        while (true)
        {
            var processed = Check(sd_bus_process(handle, out var message), "sd_bus_process");
            using (message)
            {
                if (!message.IsInvalid && sd_bus_message_is_signal(message, interfaceName, member) > 0)
                    return ReadAll(message);
            }

            if (processed == 0 && Check(sd_bus_wait(handle, (ulong)patience.TotalMicroseconds), "sd_bus_wait") == 0)
                return null;
        }
    }

    public void Dispose() => handle.Dispose();

    static void Append(BusMessageHandle message, object argument)
    {
        switch (argument)
        {
            case string text:
                Check(sd_bus_message_append_basic(message, (byte)'s', text), "append");
                break;
            case bool flag:
                Check(sd_bus_message_append_basic(message, (byte)'b', flag ? 1 : 0), "append");
                break;
            case string[] texts:
                Check(sd_bus_message_open_container(message, (byte)'a', "s"), "append");
                foreach (var text in texts)
                    Check(sd_bus_message_append_basic(message, (byte)'s', text), "append");
                Check(sd_bus_message_close_container(message), "append");
                break;
            default:
                throw new ArgumentException($"No D-Bus form for {argument.GetType()}.", nameof(argument));
        }
    }

    static List<object?> ReadAll(BusMessageHandle message)
    {
        List<object?> values = [];
        while (Check(sd_bus_message_peek_type(message, out var type, out var contents), "peek") > 0)
            values.Add(Read(message, type, contents));
        return values;
    }

    // Signatures are data here: a value is read as whatever the message says it is.
    static unsafe object? Read(BusMessageHandle message, byte type, nint contents)
    {
        switch ((char)type)
        {
            case 'a' or 'r' or 'e':
                Check(sd_bus_message_enter_container(message, type, contents), "read");
                var values = ReadAll(message);
                Check(sd_bus_message_exit_container(message), "read");
                return values;
            case 'v':
                Check(sd_bus_message_enter_container(message, type, contents), "read");
                var value = ReadAll(message)[0];
                Check(sd_bus_message_exit_container(message), "read");
                return value;
            case 's' or 'o' or 'g':
                nint text;
                Check(sd_bus_message_read_basic(message, type, &text), "read");
                return Marshal.PtrToStringUTF8(text);
            default:
                ulong number = 0;
                Check(sd_bus_message_read_basic(message, type, &number), "read");
                return (char)type switch
                {
                    'b' => number != 0,
                    'u' => (uint)number,
                    'i' => (int)number,
                    'q' => (ushort)number,
                    'x' => (long)number,
                    'd' => BitConverter.UInt64BitsToDouble(number),
                    _ => number,
                };
        }
    }

    static int Check(int result, string what) =>
        result >= 0 ? result : throw new SystemBusException("", $"{what}: {Marshal.GetPInvokeErrorMessage(-result)}");
}
