using System.Xml.Linq;
using HsmRemote.Services.Forwarding;
using HsmRemote.Services.Server;

namespace HsmRemote.Tests.Forwarding;

/// <summary>That a forward's files say what it is, and are read back as it was.</summary>
public sealed class ForwardFilesTests
{
    static readonly ForwardSettings Forward = new(
        new ForwardLayout("edge-far", P11KitServerScope.System, IsPersistent: true), P11ForwardDirection.Push, "far.example", "/run/edge/pkcs11", "/run/away/pkcs11")
    {
        Port = 2222, UserName = "hsm", KeyPath = "/root/a key$", SshConfig = "/root/50%", ServerName = "edge", SocketMode = "0660", Owner = "nobody", Group = "992", MakesDirectory = true,
    };

    [Fact]
    public void A_unit_is_read_back_as_it_was_written() =>
        Assert.Equal(Forward, ForwardSettings.From(Forward.Layout, InstanceUnits.Remembered(ForwardUnit.Service(Forward).Split('\n'))));

    [Fact]
    public void A_unit_of_another_kind_is_no_forward() =>
        Assert.Null(ForwardSettings.From(Forward.Layout, InstanceUnits.Remembered(["[X-HsmRemote]", "Instance=edge"])));

    [Fact]
    public void Host_keys_are_verified_whatever_a_configuration_says()
    {
        // For ssh, what comes first counts, and the command line comes before every file.
        var options = Forward.SshOptions;
        Assert.Contains("StrictHostKeyChecking=yes", options);
        Assert.Contains("NoHostAuthenticationForLocalhost=no", options);
        Assert.Contains("BatchMode=yes", options);
    }

    [Fact]
    public void A_session_is_known_by_an_id_of_this_forward_alone()
    {
        var other = Forward with { RemotePath = "/run/other/pkcs11" };
        Assert.Equal(Forward.Id, (Forward with { Port = 22 }).Id);
        Assert.NotEqual(Forward.Id, other.Id);
    }

    [Fact]
    public void An_agent_of_launchd_is_a_property_list()
    {
        // Whether launchd takes it, only a Mac can show.
        var list = XDocument.Parse(LaunchdAgent.PropertyList(Forward)).Root!.Element("dict")!;
        string After(string key) => list.Elements("key").Single(e => string.Equals(e.Value, key, StringComparison.Ordinal)).ElementsAfterSelf().First().ToString();
        Assert.Equal("<string>hsmremote.p11-forward-edge-far</string>", After("Label"));
        Assert.Equal("<true />", After("KeepAlive"));
        Assert.Contains("<string>/root/a key$</string>", After("ProgramArguments"), StringComparison.Ordinal);
        Assert.Contains("RUNTIME_DIRECTORY", After("EnvironmentVariables"), StringComparison.Ordinal);
    }

    [Fact]
    public void Under_launchd_everything_comes_by_one_plan()
    {
        // The plan only: to carry it out takes a Mac.
        using var plan = LaunchdPlanner.Plan(Forward with { Layout = new("test-of-launchd", P11KitServerScope.User, IsPersistent: true) }, "colima ssh-ed25519 AAAA\n");
        Assert.Equal(ChangeKind.StartUnit, plan.Changes[^1].Kind);
        Assert.Contains(plan.Changes, change => change.Target.EndsWith("/Library/LaunchAgents/hsmremote.p11-forward-test-of-launchd.plist", StringComparison.Ordinal));
        Assert.Equal(5, plan.Changes.Count(change => change.Kind == ChangeKind.CreateFile));
    }

    [Theory]
    [InlineData("# a comment\nHost colima-work\n  Port 1\nHost other\n", "colima-work")]
    [InlineData("host colima\n", "colima")]
    [InlineData("Hostname 127.0.0.1\n", null)]
    [InlineData("", null)]
    public void The_host_of_colimas_configuration_is_its_first(string config, string? host) => Assert.Equal(host, Colima.HostOf(config));

    [Fact]
    public void Public_keys_become_known_hosts() => Assert.Equal(
        "colima ssh-ed25519 AAAAC3Nz\ncolima ecdsa-sha2-nistp256 AAAAE2Vj\n",
        Colima.KnownHosts("ssh-ed25519 AAAAC3Nz root@lima\r\nbash: warning: setlocale\necdsa-sha2-nistp256 AAAAE2Vj\n\n", "colima"));

    [Theory]
    [InlineData("/tmp/a b")]
    [InlineData("/tmp/a:b")]
    [InlineData("/tmp/../a")]
    [InlineData("/tmp/$(id)")]
    [InlineData("/tmp/a'b")]
    [InlineData("/tmp/")]
    [InlineData("tmp")]
    public void A_path_that_a_shell_would_read_as_something_else_is_refused(string path) =>
        Assert.Equal("ForwardPathInvalid", Assert.Throws<HsmRemoteException>(() => ForwardRules.Check(Forward with { RemotePath = path, KeyPath = null, SshConfig = null })).ErrorId);

    [Theory]
    [InlineData("::1")]
    [InlineData("fe80::1%eth0")]
    [InlineData("far.example")]
    public void What_ssh_takes_for_a_host_is_taken(string host) => ForwardRules.Check(Forward with { HostName = host, KeyPath = null, SshConfig = null });

    [Fact]
    public void An_account_that_is_none_is_named_by_its_parameter() => Assert.Contains(
        "-User.", Assert.Throws<HsmRemoteException>(() => ForwardRules.Check(Forward with { UserName = "a b", KeyPath = null, SshConfig = null })).Failure, StringComparison.Ordinal);

    [Theory]
    [InlineData("-oProxyCommand=x")]
    [InlineData("a b")]
    [InlineData("user@far")]
    [InlineData("[fd99::2]")]
    [InlineData("[far]:2222")]
    [InlineData("ssh://far")]
    [InlineData("")]
    public void What_is_no_host_is_refused(string host) =>
        Assert.Equal("HostNameInvalid", Assert.Throws<HsmRemoteException>(() => ForwardRules.Check(Forward with { HostName = host, KeyPath = null, SshConfig = null })).ErrorId);
}
