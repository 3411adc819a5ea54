using HsmRemote.Services.P11Kit;
using HsmRemote.Services.Server;
using HsmRemote.Services.Systemd;
using Xunit;

namespace HsmRemote.Tests.Server;

public sealed class InstanceFormTests
{
    static readonly InstanceState Instance = new(
        new InstanceLayout("edge"), "/run/odd %n$HOME \"x\"\\y/pkcs11", UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupWrite, "hsm",
        SandboxRequest.Nothing)
    {
        PeerUser = "daemon",
        PeerGroup = "hsm peers",
    };

    [Fact]
    public void An_argument_means_itself_to_systemd() =>
        Assert.Equal("""
            "a b%%c$$d\"e\\f;'g"
            """.Trim(), UnitFile.Argument("""a b%c$d"e\f;'g"""));

    [Fact]
    public void A_daemons_socket_is_closed_until_it_has_its_owner_and_mode()
    {
        var unit = InstanceForm.Daemon(Instance, "/usr/bin/p11-kit", []);
        Assert.Contains("\nRuntimeDirectoryMode=0700\n", unit, StringComparison.Ordinal);
        Assert.Contains("\nRuntimeDirectory=\"odd %%n$HOME \\\"x\\\"\\\\y\"\n", unit, StringComparison.Ordinal);
        Assert.Contains(
            "\nExecStart=/usr/bin/p11-kit server -f -n \"/run/odd %%n$$HOME \\\"x\\\"\\\\y/pkcs11\" -u daemon -g \"hsm peers\" $TARGET_PKCS11_URI pkcs11:",
            unit, StringComparison.Ordinal);
        Assert.Contains(" hsm 0620 ", unit, StringComparison.Ordinal);
        Assert.Contains("\nSocketMode=0620\n", unit[unit.IndexOf($"[{InstanceUnits.Mark}]", StringComparison.Ordinal)..], StringComparison.Ordinal);
    }

    [Fact]
    public void A_daemon_that_systemd_activates_cannot_see_the_socket_that_it_would_remove()
    {
        var unit = InstanceForm.ActivatedDaemon(Instance with { SocketPath = "/run/edge/pkcs11" }, "/usr/bin/p11-kit", []);
        Assert.Contains("\nInaccessiblePaths=-/run/edge\n", unit, StringComparison.Ordinal);
        Assert.DoesNotContain("RuntimeDirectory", unit, StringComparison.Ordinal);
    }

    [Fact]
    public void An_acceptor_passes_on_the_variables_that_there_are_and_no_others()
    {
        var unit = InstanceForm.Acceptor(Instance, "/usr/bin/p11-kit", ["SOFTHSM2_CONF"], [("Environment", "\"TPM2_PKCS11_STORE=/a b\""), ("UMask", "0077")]);
        Assert.Contains(
            "\nExecStart=/usr/bin/systemd-socket-activate --accept --inetd -E SOFTHSM2_CONF -E TPM2_PKCS11_STORE /usr/bin/p11-kit remote $TARGET_PKCS11_URI\n",
            unit, StringComparison.Ordinal);
    }

    [Fact]
    public void A_users_systemd_is_not_asked_for_what_it_cannot_do()
    {
        var adapted = UserSandbox.Adapt([("ProtectKernelLogs", "yes"), ("ProtectHome", "yes"), ("ReadWritePaths", "-/no/such/store"), ("ReadWritePaths", "-/usr"), ("InaccessiblePaths", "-/proc")]).ToList();
        Assert.Equal(("PrivateUsers", "yes"), adapted[0]);
        Assert.Equal([("ProtectHome", "read-only"), ("ReadWritePaths", "-/usr"), ("TemporaryFileSystem", "/proc:ro")], adapted[1..4]);
    }

    [Theory]
    [InlineData("...LISTEN_FDS\0...", true)]
    [InlineData("...libsystemd.so.0\0...", true)]
    [InlineData("...LISTEN_ADDRESS\0...", false)]
    public void Whether_a_server_takes_over_a_socket_is_read_in_its_program(string content, bool expected)
    {
        var program = Path.GetTempFileName();
        try
        {
            File.WriteAllText(program, content);
            Assert.Equal(expected, P11KitInstallation.CanBeActivated(program));
        }
        finally
        {
            File.Delete(program);
        }
    }

    [Theory]
    [InlineData(P11KitServerMode.Daemon, "LimitNotInMode")]
    [InlineData(P11KitServerMode.Acceptor, "LimitNotInMode")]
    public void A_limit_that_nobody_would_keep_is_refused(P11KitServerMode mode, string errorId) =>
        Assert.Equal(errorId, ErrorOf(new P11KitServerSpec { Name = "edge", MaxConnections = 5 }, mode));

    [Fact]
    public void Peers_are_checked_by_a_daemon_only_and_have_to_be_there()
    {
        Assert.Equal("PeerNotInMode", ErrorOf(new P11KitServerSpec { Name = "edge", PeerUser = "root" }, P11KitServerMode.PerConnection));
        Assert.Equal("PeerUserNotFound", ErrorOf(new P11KitServerSpec { Name = "edge", PeerUser = "no-such-user" }, P11KitServerMode.Daemon));
        Assert.Equal("PeerGroupNotFound", ErrorOf(new P11KitServerSpec { Name = "edge", PeerGroup = "0" }, P11KitServerMode.Daemon));
    }

    [Theory]
    [InlineData("/run/pkcs11")]
    [InlineData("/var/lib/edge/pkcs11")]
    [InlineData("/run/a:b/pkcs11")]
    public void A_daemon_that_makes_its_socket_needs_a_directory_of_its_own(string path) =>
        Assert.Equal("SocketPathInvalid", Assert.Throws<HsmRemoteException>(() => InstanceRules.CheckForm(
            Instance with { SocketPath = path }, new InstanceForm("edge.service", new Dictionary<string, string>(StringComparer.Ordinal)), null, null)).ErrorId);

    static string ErrorOf(P11KitServerSpec spec, P11KitServerMode mode) =>
        Assert.Throws<HsmRemoteException>(() => InstanceRules.CheckFitsMode(spec, mode)).ErrorId;
}
