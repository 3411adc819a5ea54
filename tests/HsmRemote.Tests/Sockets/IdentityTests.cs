using System.Net.Sockets;
using HsmRemote.Services.Native;
using HsmRemote.Services.Sockets;
using HsmRemote.Tests.P11KitRpc;

namespace HsmRemote.Tests.Sockets;

/// <summary>Tests as another user, which need root.</summary>
public sealed class IdentityTests : IDisposable
{
    // Numbers that no user of the host has, as a container's are.
    const uint User = 54321;
    const uint Group = 54322;
    const uint OtherGroup = 54323;

    const UnixFileMode OwnerAndGroup = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.GroupWrite;

    readonly SocketDirectory directory = new();

    static CancellationToken Token => TestContext.Current.CancellationToken;

    public void Dispose() => directory.Dispose();

    [Fact]
    public async Task The_listener_sees_the_other_identity_and_the_process_keeps_its_own()
    {
        RequireRoot();
        var seen = new TaskCompletionSource<(int, uint, uint)>();
        var server = new FakeServer(new FakeToken("One"));
        directory.Listen(
            async s =>
            {
                seen.TrySetResult(UnixSocketConnector.Listener(s));
                await using var stream = new NetworkStream(s);
                await server.ServeAsync(stream);
            },
            mode: OwnerAndGroup | UnixFileMode.OtherWrite);

        var test = await TestAsync(new(UserId: User, GroupId: Group, SupplementaryGroupId: [OtherGroup]));
        Assert.True(test.Succeeded, test.Explanation);
        Assert.Equal((Environment.ProcessId, User, Group), await seen.Task);
        Assert.Equal("uid=54321 gid=54322 groups=54323", test.Identity.ToString());
        foreach (var task in Directory.EnumerateDirectories("/proc/self/task"))
        {
            try
            {
                Assert.DoesNotContain($"\t{User}", await File.ReadAllTextAsync(Path.Join(task, "status"), Token), StringComparison.Ordinal);
            }
            catch (IOException)
            {
                // That thread has ended.
            }
        }
    }

    [Fact]
    public async Task A_directory_that_bars_the_way_is_named()
    {
        RequireRoot();
        var closed = Directory.CreateDirectory(Path.Join(directory.FullName, "closed"), UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute).FullName;
        directory.Listen(serve: null, Path.Join(closed, "pkcs11"));
        File.CreateSymbolicLink(Path.Join(directory.FullName, "link"), closed);
        var test = await TestAsync(new(UserId: User, GroupId: Group), Path.Join(directory.FullName, "link", "pkcs11"));
        Assert.Equal((P11SocketCheckName.Path, P11SocketCause.DirectoryNotSearchable), (test.FailedCheck, test.Cause));
        Assert.Equal($"{closed} (0700 root(0):root(0)) bars the way", test.Checks[0].Detail);
    }

    [Fact]
    public async Task Write_permission_comes_with_the_group()
    {
        RequireRoot();
        var server = new FakeServer(new FakeToken("One"));
        directory.Listen(
            async s =>
            {
                await using var stream = new NetworkStream(s);
                await server.ServeAsync(stream);
            },
            mode: OwnerAndGroup);
        ChangeGroup(directory.SocketPath, OtherGroup);

        var test = await TestAsync(new(UserId: User, GroupId: Group));
        Assert.Equal((P11SocketCheckName.Permission, P11SocketCause.NotWritable), (test.FailedCheck, test.Cause));
        Assert.Equal("0660 root(0):?(54323) does not let uid=54321 gid=54322 write", test.Checks[2].Detail);
        Assert.Contains("--group-add 54323", test.Remedy, StringComparison.Ordinal);

        Assert.True((await TestAsync(new(UserId: User, GroupId: OtherGroup))).Succeeded);
        Assert.True((await TestAsync(new(UserId: User, GroupId: Group, SupplementaryGroupId: [OtherGroup]))).Succeeded);
    }

    [Fact]
    public async Task A_socket_whose_group_may_not_write_needs_another_mode()
    {
        RequireRoot();
        directory.Listen(serve: null, mode: UnixFileMode.UserRead | UnixFileMode.UserWrite);
        var test = await TestAsync(new(UserId: User, GroupId: 0));
        Assert.Equal(P11SocketCause.NotWritable, test.Cause);
        Assert.Contains("-SocketMode 0660", test.Remedy, StringComparison.Ordinal);
    }

    [Fact]
    public void A_user_brings_its_groups()
    {
        Assert.Equal(new P11Identity(0, 0, [], "root").ToString(), IdentityResolver.Resolve(new(UserName: "root")).ToString().Split(" groups=")[0]);
        Assert.Equal([7u, 8u], IdentityResolver.Resolve(new(UserName: "root", GroupId: 9, SupplementaryGroupId: [8, 9, 7, 7])).SupplementaryGroupId);
        Assert.Equal(Accounts.geteuid(), IdentityResolver.Resolve(new()).UserId);
        Assert.Empty(IdentityResolver.Resolve(new(UserId: 0)).SupplementaryGroupId);
    }

    [Fact]
    public void An_identity_that_cannot_be_known_is_refused()
    {
        Assert.Equal("UserNotFound", Assert.Throws<HsmRemoteException>(() => IdentityResolver.Resolve(new(UserName: "no-such-user"))).ErrorId);
        Assert.Equal("GroupIdRequired", Assert.Throws<HsmRemoteException>(() => IdentityResolver.Resolve(new(UserId: User))).ErrorId);
    }

    [Fact]
    public async Task Who_is_not_root_is_told_what_can_be_computed()
    {
        if (Accounts.geteuid() == 0)
            Assert.Skip("This is root: that another user is refused is NOT tested here, but in SocketHostTests.");
        directory.Listen(serve: null, mode: OwnerAndGroup | UnixFileMode.OtherWrite);
        Assert.Equal(P11SocketCause.IdentityNotPermitted, (await TestAsync(new(UserId: User, GroupId: Group))).Cause);
    }

    static void RequireRoot()
    {
        if (Accounts.geteuid() != 0)
            Assert.Skip("This is not root: that a test connects as another user is NOT tested.");
    }

    static void ChangeGroup(string path, uint group)
    {
        using var chgrp = System.Diagnostics.Process.Start("chgrp", [$"{group}", path]);
        chgrp.WaitForExit();
        Assert.Equal(0, chgrp.ExitCode);
    }

    Task<P11SocketTest> TestAsync(P11IdentityRequest identity, string? path = null) =>
        new P11SocketService().TestAsync(new(null, path ?? directory.SocketPath), identity, TimeSpan.FromSeconds(30), Token);
}
