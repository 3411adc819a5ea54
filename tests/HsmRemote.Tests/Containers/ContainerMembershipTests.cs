using HsmRemote.Services.Containers;

namespace HsmRemote.Tests.Containers;

/// <summary>The container that a control group is named after, in each engine's form.</summary>
public sealed class ContainerMembershipTests
{
    const string Id = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    [Theory]
    [InlineData($"0::/machine.slice/libpod-{Id}.scope/container\n", "podman")]
    [InlineData($"0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{Id}.scope\n", "podman")]
    [InlineData($"0::/system.slice/docker-{Id}.scope\n", "docker")]
    [InlineData($"9:name=systemd:/docker/{Id}\n8:pids:/docker/{Id}\n", "docker")]
    [InlineData($"0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-{Id}.scope\n", "containerd")]
    [InlineData($"0::/kubepods.slice/kubepods-pod1.slice/crio-{Id}.scope\n", "cri-o")]
    [InlineData("0::/system.slice/docker.service\n", null)]
    [InlineData("0::/\n", null)]
    [InlineData("", null)]
    public void The_engine_and_the_id_are_read(string groups, string? engine)
    {
        var container = ContainerMembership.OfControlGroup(groups);
        Assert.Equal(engine, container?.Engine);
        Assert.Equal(engine is null ? null : Id, container?.Id);
    }
}
