using System.Runtime.InteropServices;

namespace HsmRemote.Services.Native;

/// <summary>A user of the host, as the name service has it.</summary>
sealed record User(string Name, uint Id, uint GroupId, string Home);

/// <summary>A group of the host, as the name service has it.</summary>
sealed record Group(string Name, uint Id, IReadOnlyList<string> Members);

/// <summary>Users and groups through the name service (getpwnam(3), getgrnam(3)), so that LDAP and systemd's own count too.</summary>
static partial class Accounts
{
    const int BufferSize = 64 * 1024;
    const int MaxGroups = 65536;

    internal static unsafe User? FindUser(string name) => WithBuffer((buffer, size) =>
        getpwnam_r(name, out var entry, buffer, size, out var found) == 0 && found != 0 ? ToUser(entry) : null);

    internal static unsafe User? FindUser(uint id) => WithBuffer((buffer, size) =>
        getpwuid_r(id, out var entry, buffer, size, out var found) == 0 && found != 0 ? ToUser(entry) : null);

    internal static unsafe Group? FindGroup(string name) => WithBuffer((buffer, size) =>
        getgrnam_r(name, out var entry, buffer, size, out var found) == 0 && found != 0 ? ToGroup(entry) : null);

    internal static unsafe Group? FindGroup(uint id) => WithBuffer((buffer, size) =>
        getgrgid_r(id, out var entry, buffer, size, out var found) == 0 && found != 0 ? ToGroup(entry) : null);

    /// <summary>Every group that a user is in, the primary one first.</summary>
    internal static IReadOnlyList<uint> GroupsOf(User user)
    {
        var groups = new uint[64];
        var count = groups.Length;
        while (getgrouplist(user.Name, user.GroupId, groups, ref count) < 0 && count <= MaxGroups)
            groups = new uint[count];
        return [.. groups.AsSpan(0, count)];
    }

    [LibraryImport("libc")]
    internal static partial uint geteuid();

    [LibraryImport("libc")]
    internal static partial uint getegid();

    [LibraryImport("libc")]
    private static partial int getgroups(int size, [Out] uint[] list);

    /// <summary>The groups of this process besides its own.</summary>
    internal static IReadOnlyList<uint> OwnGroups()
    {
        var groups = new uint[getgroups(0, [])];
        return [.. groups.AsSpan(0, Math.Max(0, getgroups(groups.Length, groups)))];
    }

    static unsafe T? WithBuffer<T>(Func<nint, nuint, T?> read)
    {
        var buffer = NativeMemory.Alloc(BufferSize);
        try
        {
            return read((nint)buffer, BufferSize);
        }
        finally
        {
            NativeMemory.Free(buffer);
        }
    }

    static User ToUser(in Passwd entry) => new(Marshal.PtrToStringUTF8(entry.Name)!, entry.Uid, entry.Gid, Marshal.PtrToStringUTF8(entry.Directory)!);

    static Group ToGroup(in GroupEntry entry)
    {
        List<string> members = [];
        for (var at = entry.Members; Marshal.ReadIntPtr(at) is not 0 and var member; at += nint.Size)
            members.Add(Marshal.PtrToStringUTF8(member)!);
        return new Group(Marshal.PtrToStringUTF8(entry.Name)!, entry.Gid, members);
    }

    // struct passwd and struct group of <pwd.h> and <grp.h>, the same on glibc and musl.
    [StructLayout(LayoutKind.Sequential)]
    struct Passwd
    {
        public nint Name;
        public nint Password;
        public uint Uid;
        public uint Gid;
        public nint Gecos;
        public nint Directory;
        public nint Shell;
    }

    [StructLayout(LayoutKind.Sequential)]
    struct GroupEntry
    {
        public nint Name;
        public nint Password;
        public uint Gid;
        public nint Members;
    }

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int getpwnam_r(string name, out Passwd entry, nint buffer, nuint size, out nint found);

    [LibraryImport("libc")]
    private static partial int getpwuid_r(uint uid, out Passwd entry, nint buffer, nuint size, out nint found);

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int getgrnam_r(string name, out GroupEntry entry, nint buffer, nuint size, out nint found);

    [LibraryImport("libc")]
    private static partial int getgrgid_r(uint gid, out GroupEntry entry, nint buffer, nuint size, out nint found);

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int getgrouplist(string user, uint group, [Out] uint[] groups, ref int count);
}
