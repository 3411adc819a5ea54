using HsmRemote.Services.Server;
using HsmRemote.Services.Systemd;
using Xunit;

namespace HsmRemote.Tests.Server;

public sealed class SandboxRequestTests
{
    [Fact]
    public void A_unit_remembers_what_was_asked_for_byte_for_byte()
    {
        var request = new SandboxRequest(
            ["/srv/a b", "/srv/50%\"\\n"], ["/dev/tpmrm0"], new Dictionary<string, string> { ["A"] = " x=\"y\" % $ \\n", ["B"] = "é;" }, "p11");
        var unit = request.Remember(new UnitFile().Section("Service").Set("AllowPath", "/not/this").Section(InstanceUnits.Mark).Set("Instance", "edge"));
        var read = SandboxRequest.Parse(unit.ToString().Split('\n'));
        Assert.Equal(request.Paths, read.Paths);
        Assert.Equal(request.Devices, read.Devices);
        Assert.Equal(request.Environment, read.Environment);
        Assert.Equal(request.User, read.User);
    }

    [Theory]
    [InlineData("/")]
    [InlineData("/run")]
    [InlineData("/dev")]
    [InlineData("relative")]
    [InlineData("/srv/../run")]
    [InlineData("/proc/cpuinfo")]
    [InlineData("/sys/class")]
    [InlineData("/srv/x\nUser=root")]
    public void A_path_that_would_give_up_the_sandbox_or_break_the_unit_is_refused(string path) =>
        Refused("AllowPathInvalid", new P11KitServerSpec { Name = "edge", AllowPath = [path] });

    [Theory]
    [InlineData("/tmp/x")]
    [InlineData("/dev/shm")]
    [InlineData("/dev/x\ny")]
    public void What_is_no_device_is_refused(string device) =>
        Refused("AllowDeviceInvalid", new P11KitServerSpec { Name = "edge", AllowDevice = [device] });

    [Theory]
    [InlineData("A B", "x", "EnvironmentInvalid")]
    [InlineData("", "x", "EnvironmentInvalid")]
    [InlineData("1A", "x", "EnvironmentInvalid")]
    [InlineData("A", "x\ny", "EnvironmentInvalid")]
    [InlineData("A", "x\0y", "EnvironmentInvalid")]
    [InlineData("P11_KIT_SERVER_ADDRESS", "x", "EnvironmentReserved")]
    [InlineData("TARGET_PKCS11_URI", "x", "EnvironmentReserved")]
    [InlineData("TPM2_PKCS11_OWNER_AUTH", "654321", "EnvironmentSecret")]
    [InlineData("user_pin", "654321", "EnvironmentSecret")]
    public void A_variable_that_cannot_be_set_or_that_is_a_secret_is_refused(string name, string value, string errorId) =>
        Refused(errorId, new P11KitServerSpec { Name = "edge", Environment = new Dictionary<string, string> { [name] = value } });

    [Fact]
    public void A_user_that_is_not_there_is_refused() =>
        Refused("ServiceUserNotFound", new P11KitServerSpec { Name = "edge", ServiceUser = "no-such-user-here" });

    static void Refused(string errorId, P11KitServerSpec spec)
    {
        var error = Assert.Throws<HsmRemoteException>(() => SandboxRequest.Of(spec, SandboxRequest.Nothing));
        Assert.Equal(errorId, error.ErrorId);
        Assert.NotNull(error.Remedy);
        Assert.DoesNotContain("654321", error.Message, StringComparison.Ordinal);
    }
}
