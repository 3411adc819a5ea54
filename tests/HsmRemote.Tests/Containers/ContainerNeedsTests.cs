using HsmRemote.Services.Containers;

namespace HsmRemote.Tests.Containers;

/// <summary>What a container needs, for every kind of engine and user; and what cannot work, with what would make it.</summary>
public sealed class ContainerNeedsTests
{
    const UnixFileMode Group = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.GroupWrite;
    const UnixFileMode Owner = UnixFileMode.UserRead | UnixFileMode.UserWrite;
    const UnixFileMode Everybody = Group | UnixFileMode.OtherRead | UnixFileMode.OtherWrite;

    static readonly SocketAccess Shared = new()
    {
        Name = "edge", Unit = "edge.socket", SocketPath = "/run/edge/pkcs11", Scope = P11KitServerScope.System, Mode = Group, OwnerId = 0, GroupId = 992,
    };

    static readonly SocketAccess Own = Shared with { Scope = P11KitServerScope.User, SocketPath = "/run/user/1000/edge/pkcs11", Mode = Owner, OwnerId = 1000, GroupId = 1000 };
    static readonly EngineFacts Docker = new("docker", Rootless: false);
    static readonly EngineFacts Podman = new("podman", Rootless: false, Runtime: "crun");
    static readonly EngineOwner Member = new("anna", 1000, 1000, [1000, 992]);
    static readonly EngineFacts RootlessPodman = Podman with { Rootless = true, Owner = Member };

    [Fact]
    public void A_user_gets_the_socket_s_group_by_number_and_the_directory_read_only()
    {
        var config = Compute(Shared, Docker, "5000");
        Assert.Equal("992", config.SupplementaryGroup);
        Assert.Equal(new P11ContainerMount("/run/edge", "/run/edge", ReadOnly: true), config.Mount);
        Assert.Equal("unix:path=/run/edge/pkcs11", config.Environment["P11_KIT_SERVER_ADDRESS"]);
        Assert.Null(config.UserNamespace);
        Assert.Null(config.SecurityLabel);
        Assert.Equal(["Mount", "Environment", "Group"], config.Reasons.Select(r => r.Setting));
        Assert.All(config.Reasons, r => Assert.NotEmpty(r.Why));
    }

    [Theory]
    [InlineData("0", null)]
    [InlineData("root", null)]
    [InlineData("5000:992", null)]
    [InlineData("5000:5000", "992")]
    [InlineData("5000", "992")]
    [InlineData("app", "992")]
    [InlineData("app:app", "992")]
    [InlineData(null, "992")]
    public void Who_needs_the_group(string? user, string? group) => Assert.Equal(group, Compute(Shared, Docker, user).SupplementaryGroup);

    [Theory]
    [InlineData("1000", "--user 1000 --group-add 992")]
    [InlineData("root", "--user root")]
    [InlineData("0", "--user 0")]
    [InlineData("${APP_UID}:${APP_GID}", "--user '${APP_UID}:${APP_GID}' --group-add 992")]
    public void A_user_is_written_as_it_was_given_and_gets_no_group_of_its_own(string user, string arguments)
    {
        var config = ContainerNeeds.Compute(Shared, Docker, new P11ContainerRequest { Engine = P11ContainerEngine.Docker }, ContainerUser.Parse(user));
        Assert.StartsWith($"{arguments} --mount ", ShellWord.Join(RunArguments.Write(config)), StringComparison.Ordinal);
    }

    [Fact]
    public void A_Pod_s_user_without_a_group_gets_none()
    {
        var config = ContainerNeeds.Compute(Shared, Docker, new P11ContainerRequest { Engine = P11ContainerEngine.Kubernetes }, ContainerUser.Parse("1000"));
        var pod = KubernetesPod.Write(config, "pod");
        Assert.Contains("runAsUser: 1000", pod, StringComparison.Ordinal);
        Assert.DoesNotContain("runAsGroup", pod, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("3000000000")]
    [InlineData("1:3000000000")]
    public void A_number_that_no_engine_takes_is_refused(string user) =>
        Assert.Equal("ContainerValueInvalid", Assert.Throws<HsmRemoteException>(() => ContainerUser.Parse(user)).ErrorId);

    [Fact]
    public void An_env_file_says_nothing_of_users()
    {
        foreach (var socket in new[] { Own, Shared with { PeerUserId = 5000 }, Shared with { GroupId = 0 } })
            Assert.Null(Compute(socket, Docker with { UserNamespace = "remap" }, "app", P11ContainerEngine.Env).SupplementaryGroup);
    }

    [Fact]
    public void The_address_is_computed_and_not_given()
    {
        var request = new P11ContainerRequest { Engine = P11ContainerEngine.Docker, Variables = new Dictionary<string, string>(StringComparer.Ordinal) { ["P11_KIT_SERVER_ADDRESS"] = "unix:path=/x" } };
        Assert.Equal("ContainerValueInvalid", Assert.Throws<HsmRemoteException>(() => ContainerNeeds.Compute(Shared, Docker, request, ContainerUser.Parse(null))).ErrorId);
    }

    [Fact]
    public void A_directory_that_keeps_the_user_out_is_an_error()
    {
        var closed = Shared with { Directory = new("0750 root(0):root(0)", peer => peer.UserId == 0) };
        var error = Assert.Throws<HsmRemoteException>(() => Compute(closed, Docker, "5000"));
        Assert.Equal("SocketDirectoryClosed", error.ErrorId);
        Assert.Contains("0750 root(0):root(0)", error.Failure, StringComparison.Ordinal);
        Assert.Contains("DirectoryMode=0755", error.Remedy, StringComparison.Ordinal);
        Fails("SocketDirectoryClosed", "chmod", () => Compute(closed, RootlessPodman, "5000"));
        Fails("SocketDirectoryClosed", "chmod", () => Compute(closed with { Mode = Everybody }, Docker with { UserNamespace = "remap" }, "0"));
        Assert.NotNull(Compute(closed, Docker, "0"));
        Assert.Contains(Compute(closed, Docker, null).Reasons, reason => reason.Why.Contains("the image's user is root", StringComparison.Ordinal));
        var group = Shared with { Directory = new("0750 root(0):hsm(992)", peer => peer.SupplementaryGroupId.Contains(992u)) };
        Assert.NotNull(Compute(group, Docker, "5000"));
        Assert.NotNull(Compute(group, RootlessPodman, "5000"));
        var own = Own with { Directory = new("0700 anna(1000):anna(1000)", peer => peer.UserId == 1000) };
        Assert.NotNull(Compute(own, RootlessPodman, "0"));
        Assert.NotNull(Compute(own, RootlessPodman, "5000"));
    }

    [Theory]
    [InlineData("[containers]\nuserns = \"auto\"\n", "auto")]
    [InlineData("[containers]\n#userns = \"auto\"\n", null)]
    [InlineData("[engine]\nuserns = \"auto\"\n", null)]
    [InlineData("[ containers ] # x\r\n  userns='keep-id' # y\r\n[engine]\r\n", "keep-id")]
    public void Podman_s_configuration_has_a_say_in_the_user_namespace(string toml, string? expected) =>
        Assert.Equal(expected, PodmanConfiguration.UserNamespaceIn(toml));

    [Fact]
    public void Where_everybody_may_connect_nobody_needs_a_group_whatever_the_engine()
    {
        var open = Shared with { Mode = Everybody };
        foreach (var engine in new[] { Docker, Docker with { Rootless = true }, Docker with { UserNamespace = "remap" }, RootlessPodman, Podman with { UserNamespace = "auto" } })
            Assert.Null(Compute(open, engine, "5000").SupplementaryGroup);
    }

    [Fact]
    public void The_owner_needs_no_group() => Assert.Null(Compute(Shared with { OwnerId = 5000, Mode = Owner }, Docker, "5000").SupplementaryGroup);

    [Theory]
    [InlineData("5000")]
    [InlineData("app")]
    public void A_socket_that_only_root_may_use_is_for_no_other_user(string user)
    {
        Fails("SocketNotShared", "-Group GROUP", () => Compute(Shared with { GroupId = 0 }, Docker, user));
        Fails("SocketNotShared", "-Group GROUP", () => Compute(Shared with { Mode = Owner }, Docker, user));
        Fails("SocketNotShared", "-Group GROUP", () => Compute(Shared with { GroupId = null }, Docker, user));
        Assert.Null(Compute(Shared with { GroupId = 0 }, Docker, "0").SupplementaryGroup);
    }

    [Fact]
    public void Of_an_unknown_user_and_root_s_socket_it_says_what_it_takes() =>
        Assert.Contains("only root may connect", Because(Compute(Shared with { GroupId = 0 }, Docker, null), "Group"), StringComparison.Ordinal);

    [Theory]
    [InlineData(5000u, null, "5000:5000", true)]
    [InlineData(5000u, null, "5001:5000", false)]
    [InlineData(null, 60u, "5000:60", true)]
    [InlineData(null, 60u, "5000:61", false)]
    [InlineData(5000u, 60u, "5000:60", true)]
    [InlineData(5000u, 60u, "0", false)]
    [InlineData(5000u, 60u, null, false)]
    [InlineData(5000u, null, "app", false)]
    public void A_peer_check_that_excludes_the_user_is_an_error(uint? peerUser, uint? peerGroup, string? user, bool works)
    {
        var socket = Shared with { PeerUserId = peerUser, PeerGroupId = peerGroup, Mode = Everybody };
        if (works)
            Assert.NotNull(Because(Compute(socket, Docker, user), "User"));
        else
            Fails("PeerCheckExcludes", peerUser is null ? "-Uid UID -Gid 60" : "-Uid 5000", () => Compute(socket, Docker, user));
    }

    [Theory]
    [InlineData("0")]
    [InlineData("5000")]
    public void A_user_namespace_hides_the_group(string user)
    {
        Fails("UserNamespaceHidesGroup", "-UserNamespace host", () => Compute(Shared, Docker with { UserNamespace = "remap" }, user));
        Fails("UserNamespaceHidesGroup", "-UserNamespace host", () => Compute(Shared, Podman with { UserNamespace = "auto" }, user));
        Fails("UserNamespaceHidesGroup", "hostUsers", () => Compute(Shared, new EngineFacts(null, Rootless: false, "pod"), user, P11ContainerEngine.Kubernetes));
        var cured = Compute(Shared, Docker with { UserNamespace = "host" }, user);
        Assert.Equal("host", cured.UserNamespace);
        Assert.Contains("--userns host", ShellWord.Join(RunArguments.Write(cured)), StringComparison.Ordinal);
    }

    [Fact]
    public void Rootless_podman_keeps_its_user_s_groups()
    {
        foreach (var user in new[] { null, "0", "5000", "app" })
        {
            var config = Compute(Shared, RootlessPodman, user);
            Assert.Equal("keep-groups", config.SupplementaryGroup);
            Assert.Null(config.UserNamespace);
        }

        // On another host nobody knows who will run it.
        Assert.Equal("keep-groups", Compute(Shared, RootlessPodman with { Owner = null, Runtime = null }, "5000").SupplementaryGroup);
    }

    [Fact]
    public void A_rootless_engine_without_keep_groups_is_an_error()
    {
        Fails("RootlessWithoutGroups", "-Engine Podman", () => Compute(Shared, Docker with { Rootless = true }, "5000"));
        Fails("RootlessWithoutGroups", "--runtime crun", () => Compute(Shared, RootlessPodman with { Runtime = "runc" }, "5000"));
        Fails("RootlessUserNotMember", "usermod", () => Compute(Shared, RootlessPodman with { Owner = Member with { Groups = [1000] } }, "5000"));
        Fails("SocketNotShared", "-Group", () => Compute(Shared with { GroupId = 0 }, RootlessPodman, "0"));
    }

    [Theory]
    [InlineData("0", null)]
    [InlineData(null, null)]
    [InlineData("5000:60", "keep-id:uid=5000,gid=60")]
    public void A_user_s_own_instance_is_its_container_s_root_s(string? user, string? userNamespace)
    {
        var config = Compute(Own, RootlessPodman, user);
        Assert.Equal(userNamespace, config.UserNamespace);
        Assert.Null(config.SupplementaryGroup);
        Assert.Equal("/run/user/1000/edge", config.Mount.Source);
    }

    [Fact]
    public void A_user_s_own_instance_and_another_user_of_the_container()
    {
        Fails("RootlessWithoutGroups", "-Uid 0", () => Compute(Own, Docker with { Rootless = true, Owner = Member }, "5000"));
        Fails("RootlessWithoutGroups", "-Uid and -Gid", () => Compute(Own, RootlessPodman, "app"));
        Assert.Null(Compute(Own, Docker with { Rootless = true, Owner = Member }, "0").UserNamespace);
    }

    [Fact]
    public void SELinux_wants_a_label_and_AppArmor_none()
    {
        Assert.Equal("label=disable", Compute(Shared, Podman with { SecurityModule = P11SecurityModule.SELinux }, "0").SecurityLabel);
        Assert.Equal("spc_t", Compute(Shared, new EngineFacts(null, Rootless: false, SecurityModule: P11SecurityModule.SELinux), "0", P11ContainerEngine.Kubernetes).SecurityLabel);
        var appArmor = Compute(Shared, Docker with { SecurityModule = P11SecurityModule.AppArmor }, "0");
        Assert.Null(appArmor.SecurityLabel);
        Assert.NotNull(Because(appArmor, "SecurityLabel"));
    }

    [Theory]
    [InlineData("/run/pkcs11")]
    [InlineData("/tmp/pkcs11")]
    [InlineData("/run/user/1000/pkcs11")]
    [InlineData("/pkcs11")]
    public void A_directory_that_holds_other_things_is_not_mounted(string path) =>
        Fails("SocketDirectoryShared", "/edge/pkcs11", () => Compute(Shared with { SocketPath = path }, Docker, "0"));

    [Fact]
    public void The_facts_are_those_that_the_engines_tell()
    {
        using var podman = System.Text.Json.JsonDocument.Parse("""{"host":{"ociRuntime":{"name":"crun"},"security":{"rootless":true,"selinuxEnabled":true,"apparmorEnabled":false}}}""");
        Assert.Equal(new EngineFacts("podman", Rootless: true, null, P11SecurityModule.SELinux, "crun"), EngineFacts.OfPodman(podman.RootElement));
        using var broken = System.Text.Json.JsonDocument.Parse("""{"host":{"ociRuntime":null,"security":{"rootless":false,"selinuxEnabled":false}}}""");
        Assert.Equal(new EngineFacts("podman", Rootless: false, null, P11SecurityModule.None, null), EngineFacts.OfPodman(broken.RootElement));
        // In the form that docker's manual gives: no docker has been asked.
        using var docker = System.Text.Json.JsonDocument.Parse("""{"SecurityOptions":["name=apparmor","name=seccomp,profile=default","name=userns"],"DefaultRuntime":"runc"}""");
        Assert.Equal(new EngineFacts("docker", Rootless: false, "remap", P11SecurityModule.AppArmor, "runc"), EngineFacts.OfDocker(docker.RootElement));
        using var nobody = System.Text.Json.JsonDocument.Parse("""{"ServerErrors":["Cannot connect"],"SecurityOptions":null}""");
        Assert.Null(EngineFacts.OfDocker(nobody.RootElement));
    }

    static P11ContainerConfig Compute(SocketAccess socket, EngineFacts engine, string? user, P11ContainerEngine written = P11ContainerEngine.Docker) =>
        ContainerNeeds.Compute(socket, engine, new P11ContainerRequest { Engine = written, Image = "debian:12" }, ContainerUser.Parse(user is "5000" ? "5000:5000" : user));

    static string? Because(P11ContainerConfig config, string setting) => config.Reasons.FirstOrDefault(r => string.Equals(r.Setting, setting, StringComparison.Ordinal))?.Why;

    static void Fails(string errorId, string remedy, Func<object> action)
    {
        var error = Assert.Throws<HsmRemoteException>(action);
        Assert.Equal(errorId, error.ErrorId);
        Assert.Contains(remedy, error.Remedy, StringComparison.Ordinal);
    }
}
