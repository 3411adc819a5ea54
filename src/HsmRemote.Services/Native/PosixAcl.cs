using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace HsmRemote.Services.Native;

/// <summary>Who may do what with a file by its mode and its access ACL, acl(5).</summary>
sealed partial class PosixAcl
{
    internal const int Write = 2;
    internal const int Search = 1;

    const ushort Owner = 0x01;
    const ushort NamedUser = 0x02;
    const ushort OwningGroup = 0x04;
    const ushort NamedGroup = 0x08;
    const ushort MaskEntry = 0x10;
    const ushort Other = 0x20;

    sealed record Entry(ushort Tag, int Permissions, uint Id);

    readonly IReadOnlyList<Entry> entries;
    readonly int? mask;

    PosixAcl(IReadOnlyList<Entry> entries)
    {
        this.entries = entries;
        mask = entries.Where(e => e.Tag == MaskEntry).Select(e => (int?)e.Permissions).FirstOrDefault();
    }

    /// <summary>The ACL of a file that has this status; one that has none has its mode's.</summary>
    internal static PosixAcl Of(string path, in FileStatus status) => Parse(ReadAttribute(path), status);

    /// <summary>Reads the attribute's form of linux/posix_acl_xattr.h: version 2, then tag, permissions and id of each entry, little-endian.</summary>
    internal static PosixAcl Parse(ReadOnlySpan<byte> attribute, in FileStatus status)
    {
        const int HeaderSize = 4;
        const int EntrySize = 8;
        if (attribute.Length < HeaderSize || BinaryPrimitives.ReadUInt32LittleEndian(attribute) != 2)
        {
            var mode = (int)status.Permissions;
            return new([new(Owner, (mode >> 6) & 7, 0), new(OwningGroup, (mode >> 3) & 7, 0), new(Other, mode & 7, 0)]);
        }

        List<Entry> read = [];
        for (var rest = attribute[HeaderSize..]; rest.Length >= EntrySize; rest = rest[EntrySize..])
        {
            read.Add(new(
                BinaryPrimitives.ReadUInt16LittleEndian(rest),
                BinaryPrimitives.ReadUInt16LittleEndian(rest[2..]),
                BinaryPrimitives.ReadUInt32LittleEndian(rest[4..])));
        }

        return new(read);
    }

    /// <summary>Whether an identity has a permission, by the algorithm of acl(5).</summary>
    internal bool Allows(P11Identity identity, in FileStatus status, int permission)
    {
        // Root may do both whatever an entry says: what is asked for is a socket and the directories before it.
        if (identity.UserId == 0)
            return true;
        if (identity.UserId == status.UserId)
            return Has(entries.First(e => e.Tag == Owner), permission);
        if (entries.FirstOrDefault(e => e.Tag == NamedUser && e.Id == identity.UserId) is { } named)
            return HasMasked(named, permission);
        var groups = GroupEntries(identity, status);
        return groups.Count == 0 ? Has(entries.First(e => e.Tag == Other), permission) : groups.Exists(e => HasMasked(e, permission));
    }

    /// <summary>Where the mask takes a permission away that an entry gives the identity: in words, else null.</summary>
    internal string? MaskedOut(P11Identity identity, in FileStatus status, int permission)
    {
        if (mask is not { } limit || (limit & permission) != 0)
            return null;
        var masked = entries.Where(e => e.Tag == NamedUser && e.Id == identity.UserId).Concat(GroupEntries(identity, status)).Where(e => Has(e, permission)).ToList();
        return masked.Count == 0 ? null : $"its ACL has {Describe(masked[0], status)}, and the mask {Letters(limit)} takes that away";
    }

    List<Entry> GroupEntries(P11Identity identity, FileStatus status)
    {
        HashSet<uint> groups = [identity.GroupId, .. identity.SupplementaryGroupId];
        return [.. entries.Where(e => e.Tag == OwningGroup ? groups.Contains(status.GroupId) : e.Tag == NamedGroup && groups.Contains(e.Id))];
    }

    bool HasMasked(Entry entry, int permission) => Has(entry, permission) && (mask is null || (mask & permission) != 0);

    static bool Has(Entry entry, int permission) => (entry.Permissions & permission) != 0;

    static string Describe(Entry entry, FileStatus status) => entry.Tag switch
    {
        NamedUser => $"user:{entry.Id}:{Letters(entry.Permissions)}",
        NamedGroup => $"group:{entry.Id}:{Letters(entry.Permissions)}",
        _ => $"group:{status.GroupId}:{Letters(entry.Permissions)}",
    };

    static string Letters(int permissions) => $"{((permissions & 4) != 0 ? 'r' : '-')}{((permissions & 2) != 0 ? 'w' : '-')}{((permissions & 1) != 0 ? 'x' : '-')}";

    static byte[] ReadAttribute(string path)
    {
        // 65536 is the kernel's limit for an attribute; one of this size has 500 entries.
        var buffer = new byte[4096];
        var length = getxattr(path, "system.posix_acl_access", buffer, (nuint)buffer.Length);
        return length > 0 ? buffer[..(int)length] : [];
    }

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial nint getxattr(string path, string name, [Out] byte[] value, nuint size);
}
