using HsmRemote.Services.Server;
using Xunit;

namespace HsmRemote.Tests.Server;

public sealed class InstanceRulesTests
{
    [Theory]
    [InlineData("edge")]
    [InlineData("p11-kit-server")]
    [InlineData("A.b_c-1")]
    public void A_name_may_be_what_units_may_be_called(string name) => InstanceRules.CheckName(name);

    [Theory]
    [InlineData("../edge")]
    [InlineData("a b")]
    [InlineData("a@b")]
    [InlineData("-a")]
    [InlineData(".a")]
    [InlineData("a\n")]
    [InlineData("a%b")]
    [InlineData("")]
    public void A_name_that_would_be_another_path_or_unit_is_refused(string name) =>
        Assert.Equal("NameInvalid", Assert.Throws<HsmRemoteException>(() => InstanceRules.CheckName(name)).ErrorId);

    [Theory]
    [InlineData("run/x")]
    [InlineData("/run/x/")]
    [InlineData("/run/../x")]
    [InlineData("/run//x")]
    [InlineData("/run/x\ny")]
    [InlineData("/etc/passwd")]
    [InlineData("/etc")]
    [InlineData("/run/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")]
    public void A_path_that_cannot_be_a_socket_is_refused(string path) =>
        Assert.Equal("SocketPathInvalid", Assert.Throws<HsmRemoteException>(() => InstanceRules.CheckSocketPath(path, "edge", [])).ErrorId);

    [Fact]
    public void A_socket_that_another_instance_has_is_refused()
    {
        var other = new P11KitServer
        {
            Name = "other", State = P11KitServerState.Listening, Mode = P11KitServerMode.PerConnection, IsManaged = true,
            Enabled = true, TargetUri = [], Unit = "other.socket", SocketPath = "/run/x/pkcs11", ServiceUnit = "other@.service",
        };
        var error = Assert.Throws<HsmRemoteException>(() => InstanceRules.CheckSocketPath("/run/x/pkcs11", "edge", [other]));
        Assert.Contains("'other'", error.Message, StringComparison.Ordinal);
        InstanceRules.CheckSocketPath("/run/x/pkcs11", "other", [other]);
    }

    [Theory]
    [InlineData("no such", null, "GroupInvalid")]
    [InlineData("Upper-case-group", null, "GroupInvalid")]
    [InlineData("root", 7777u, "GroupIdMismatch")]
    [InlineData("no-such-group-here", 0u, "GroupIdInUse")]
    public void A_group_that_cannot_be_had_is_refused(string group, uint? id, string errorId) =>
        Assert.Equal(errorId, Assert.Throws<HsmRemoteException>(() => InstanceRules.CheckGroup(group, id)).ErrorId);

    [Fact]
    public void A_group_that_is_there_under_its_number_is_fine() => InstanceRules.CheckGroup("root", 0);
}
