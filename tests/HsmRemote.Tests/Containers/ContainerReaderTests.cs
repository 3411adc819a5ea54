using HsmRemote.Services.Containers;

namespace HsmRemote.Tests.Containers;

/// <summary>What a container has, beside what it needs.</summary>
public sealed class ContainerReaderTests
{
    static readonly SocketAccess Socket = new()
    {
        Name = "edge", Unit = "edge.socket", SocketPath = "/run/edge/pkcs11", Scope = P11KitServerScope.System, OwnerId = 0, GroupId = 992,
        Mode = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.GroupWrite,
    };

    static readonly ContainerState Good = new()
    {
        User = "5000:5000", Groups = ["992"], ProcessId = 7,
        Mounts = [new("/run/edge", "/run/edge", ReadOnly: true)],
        Environment = new Dictionary<string, string>(StringComparer.Ordinal) { ["P11_KIT_SERVER_ADDRESS"] = "unix:path=/run/edge/pkcs11" },
    };

    static readonly EngineFacts Podman = new("podman", Rootless: false, Runtime: "crun");
    static readonly P11Identity Outsider = new(5000, 5000, []);

    [Fact]
    public void As_it_needs_to_be() => Assert.Empty(Compare(Good, Podman, null).Differences);

    [Fact]
    public void The_directory_is_where_the_address_looks()
    {
        var elsewhere = Good with { Mounts = [new("/run/edge", "/foo", ReadOnly: true)] };
        var difference = Assert.Single(Compare(elsewhere, Podman, null).Differences);
        Assert.Equal(("Mount", "/run/edge:/foo:ro", "/run/edge:/run/edge:ro"), (difference.Setting, difference.Has, difference.Needs));
        var led = elsewhere with { Environment = new Dictionary<string, string>(StringComparer.Ordinal) { ["P11_KIT_SERVER_ADDRESS"] = "unix:path=/foo/pkcs11" } };
        Assert.Empty(Compare(led, Podman, null).Differences);
    }

    [Fact]
    public void A_group_that_the_process_has_is_not_missing()
    {
        var without = Good with { Groups = ["hsm"] };
        Assert.Equal("Group", Assert.Single(Compare(without, Podman, Outsider).Differences).Setting);
        Assert.Empty(Compare(without, Podman, Outsider with { SupplementaryGroupId = [992] }).Differences);
        Assert.Empty(Compare(without, Podman, Outsider with { GroupId = 992 }).Differences);
    }

    [Fact]
    public void Who_has_been_made_the_owner_needs_no_user_namespace()
    {
        var own = Socket with { Scope = P11KitServerScope.User, OwnerId = 1000, GroupId = 1000, Mode = UnixFileMode.UserRead | UnixFileMode.UserWrite };
        var rootless = Podman with { Rootless = true, UserNamespace = "private", Owner = new EngineOwner("anna", 1000, 1000, [1000]) };
        var has = Good with { Groups = [], UserNamespace = "private" };
        Assert.Equal("UserNamespace", Assert.Single(Compare(has, rootless, new(100_999, 100_999, []), own).Differences).Setting);
        Assert.Empty(Compare(has, rootless, new(1000, 1000, []), own).Differences);
    }

    [Fact]
    public void A_user_namespace_of_its_own_is_what_differs()
    {
        var config = Compare(Good with { UserNamespace = "private" }, Podman with { UserNamespace = "private" }, new(105_000, 105_000, [100_992]));
        var difference = Assert.Single(config.Differences);
        Assert.Equal(("UserNamespace", "private", "host"), (difference.Setting, difference.Has, difference.Needs));
        Assert.Contains("--user 5000:5000 --group-add 992 --userns host ", config.Text, StringComparison.Ordinal);
    }

    [Fact]
    public void A_directory_that_keeps_the_user_out_is_what_differs()
    {
        var difference = Assert.Single(Compare(Good, Podman, Outsider, Socket with { Directory = new("0750 root(0):root(0)", peer => peer.UserId == 0) }).Differences, d => d.Setting is not "Group");
        Assert.Equal(("Mount", "0750 root(0):root(0)"), (difference.Setting, difference.Has));
    }

    static P11ContainerConfig Compare(ContainerState has, EngineFacts facts, P11Identity? process, SocketAccess? socket = null) => ContainerReader.Compare(
        "app", has, socket ?? Socket, facts, new P11ContainerRequest { Engine = P11ContainerEngine.Podman }, ContainerUser.Parse(has.User), process);
}
