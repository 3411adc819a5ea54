using HsmRemote.Services.Server;
using Xunit;

namespace HsmRemote.Tests.Server;

public sealed class InstanceUnitsTests
{
    static readonly InstanceState Instance = new(
        new InstanceLayout("edge"), "/run/odd %name/pkcs11", UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupWrite, "hsm", SandboxRequest.Nothing);

    [Fact]
    public void Percent_signs_of_a_path_are_doubled()
    {
        Assert.Contains("\nListenStream=/run/odd %%name/pkcs11\n", InstanceUnits.Socket(Instance), StringComparison.Ordinal);
        Assert.Contains("\nExecStart=/opt/50%%/p11-kit ", InstanceUnits.Service(Instance, "/opt/50%/p11-kit", []), StringComparison.Ordinal);
    }

    [Fact]
    public void The_target_is_expanded_into_words_by_systemd_and_by_nobody_else() =>
        Assert.Contains("\nExecStart=/usr/bin/p11-kit remote $TARGET_PKCS11_URI\n", InstanceUnits.Service(Instance, "/usr/bin/p11-kit", []), StringComparison.Ordinal);

    [Fact]
    public void Mode_and_group_are_the_sockets()
    {
        var socket = InstanceUnits.Socket(Instance);
        Assert.Contains("\nSocketMode=0620\n", socket, StringComparison.Ordinal);
        Assert.Contains("\nSocketGroup=hsm\n", socket, StringComparison.Ordinal);
    }
}
