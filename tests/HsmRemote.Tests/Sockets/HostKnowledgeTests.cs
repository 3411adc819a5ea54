using System.Runtime.InteropServices;
using HsmRemote.Services.Native;
using HsmRemote.Services.Sockets;

namespace HsmRemote.Tests.Sockets;

/// <summary>What is read of the host to find a cause: addresses, command lines, ACLs, processes.</summary>
public sealed class HostKnowledgeTests
{
    // Each as p11-kit 0.24.1 reads it, seen with strace.
    [Theory]
    [InlineData("unix:path=/run/edge/pkcs11", "/run/edge/pkcs11")]
    [InlineData("unix:path=/tmp/a%20b", "/tmp/a b")]
    [InlineData("unix:path=/tmp/%C3%A9", "/tmp/é")]
    [InlineData("unix:path=/tmp/a;x=1", "/tmp/a;x=1")]
    [InlineData("unix:path=/tmp/a%zz", null)]
    [InlineData("unix:path=/tmp/a%2", null)]
    [InlineData("unix:path=%2Ftmp%2Fx", null)]
    [InlineData("unix:path=relative", null)]
    [InlineData("UNIX:path=/tmp/u", null)]
    [InlineData("/tmp/y", null)]
    [InlineData("vsock:cid=2;port=3", null)]
    public void An_address_is_read_as_p11_kit_reads_it(string address, string? path) => Assert.Equal(path, ProcessAddress.Decode(address));

    [Theory]
    [InlineData("p11-kit server -f -n /x -u 7 -g 8 pkcs11:", 7u, 8u)]
    [InlineData("p11-kit-server --user=7 --group 8", 7u, 8u)]
    [InlineData("p11-kit server -u7 pkcs11:", 7u, null)]
    [InlineData("p11-kit server --group=root", null, 0u)]
    public void The_peer_that_a_server_wants_is_read_from_its_command_line(string command, uint? user, uint? group) =>
        Assert.Equal(new PeerRule(user, group), PeerRule.Of(command.Split(' ')));

    [Theory]
    [InlineData("p11-kit server -f -n /x pkcs11:")]
    [InlineData("p11-kit server -u")]
    [InlineData("p11-kit server -u no-such-user")]
    [InlineData("")]
    public void A_server_that_says_nothing_of_its_peer_has_no_rule(string command) => Assert.Null(PeerRule.Of(command.Split(' ')));

    [Fact]
    public void A_supplementary_group_does_not_satisfy_a_server()
    {
        var rule = new PeerRule(null, 8);
        Assert.True(rule.Refuses(new(7, 9, [8])));
        Assert.True(rule.Refuses(new(0, 0, [])));
        Assert.False(rule.Refuses(new(7, 8, [])));
    }

    [Theory]
    [InlineData(7u, 9u, 7u, true)] // A named user, whatever its group has.
    [InlineData(6u, 20u, 20u, true)] // A named group.
    [InlineData(6u, 21u, 21u, false)] // One that may only read.
    [InlineData(6u, 30u, 30u, false)] // Others.
    [InlineData(6u, 21u, 20u, true)] // One of several groups is enough.
    [InlineData(0u, 0u, 0u, true)] // Root.
    public void An_ACL_decides_as_the_kernel_does(uint user, uint group, uint other, bool allowed)
    {
        var status = StatusOfOwn(100, 200);
        Assert.Equal(allowed, PosixAcl.Parse(Acl(mask: 7), status).Allows(new(user, group, [other]), status, PosixAcl.Write));
        Assert.Equal(user == 0, PosixAcl.Parse(Acl(mask: 4), status).Allows(new(user, group, [other]), status, PosixAcl.Write));
    }

    [Fact]
    public void What_the_mask_takes_away_is_named()
    {
        var status = StatusOfOwn(100, 200);
        Assert.Equal(
            "its ACL has group:20:rw-, and the mask r-- takes that away", PosixAcl.Parse(Acl(mask: 4), status).MaskedOut(new(6, 20, []), status, PosixAcl.Write));
        Assert.Null(PosixAcl.Parse(Acl(mask: 6), status).MaskedOut(new(6, 20, []), status, PosixAcl.Write));
        Assert.Null(PosixAcl.Parse(Acl(mask: 4), status).MaskedOut(new(6, 30, []), status, PosixAcl.Write));
        Assert.Null(PosixAcl.Parse([], status).MaskedOut(new(6, 20, []), status, PosixAcl.Write));
    }

    [Fact]
    public void A_process_has_the_ids_and_the_files_of_its_own()
    {
        var (user, group, groups) = ProcessView.Identity(Environment.ProcessId);
        Assert.Equal((Accounts.geteuid(), Accounts.getegid()), (user, group));
        Assert.Equal(Accounts.OwnGroups().Order(), groups.Order());
        Assert.True(ProcessView.Of(Environment.ProcessId).SeesOurFiles);
        Assert.Equal("ProcessNotFound", Assert.Throws<HsmRemoteException>(() => ProcessView.Identity(int.MaxValue)).ErrorId);
        Assert.Equal("/proc/cpuinfo", MountTable.HostPath(Environment.ProcessId, "/proc/cpuinfo"));
    }

    // u::rw-, u:7:rw-, g::r--, g:20:rw-, g:21:r--, m::…, o::r--
    static byte[] Acl(ushort mask)
    {
        (ushort Tag, ushort Permissions, uint Id)[] entries =
            [(0x01, 6, uint.MaxValue), (0x02, 6, 7), (0x04, 4, uint.MaxValue), (0x08, 6, 20), (0x08, 4, 21), (0x10, mask, uint.MaxValue), (0x20, 4, uint.MaxValue)];
        return [2, 0, 0, 0, .. entries.SelectMany(e => (byte[])[.. BitConverter.GetBytes(e.Tag), .. BitConverter.GetBytes(e.Permissions), .. BitConverter.GetBytes(e.Id)])];
    }

    // The kernel's layout of statx(2): uid at 20, gid at 24.
    static FileStatus StatusOfOwn(uint user, uint group)
    {
        Span<byte> bytes = stackalloc byte[Marshal.SizeOf<FileStatus>()];
        MemoryMarshal.Write(bytes[20..], user);
        MemoryMarshal.Write(bytes[24..], group);
        return MemoryMarshal.Read<FileStatus>(bytes);
    }
}
