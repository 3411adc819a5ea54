using HsmRemote.Services.P11Kit;
using Xunit;

namespace HsmRemote.Tests.P11Kit;

public sealed class PackageManagerTests
{
    [Theory]
    [InlineData("ID=debian\n", "env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends p11-kit p11-kit-modules softhsm2 opensc-pkcs11")]
    [InlineData("ID=ubuntu\nID_LIKE=debian\n", "env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends p11-kit p11-kit-modules softhsm2 opensc-pkcs11")]
    [InlineData("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n", "env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends p11-kit p11-kit-modules softhsm2 opensc-pkcs11")]
    [InlineData("NAME=\"Fedora Linux\"\nID=fedora\n", "dnf install --assumeyes p11-kit p11-kit-server softhsm opensc")]
    [InlineData("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n", "dnf install --assumeyes p11-kit p11-kit-server softhsm opensc")]
    [InlineData("ID=\"opensuse-leap\"\nID_LIKE=\"suse opensuse\"\n", "zypper --non-interactive install p11-kit p11-kit-server softhsm opensc")]
    [InlineData("ID=alpine\n", "apk add p11-kit p11-kit-server softhsm opensc")]
    public void The_command_is_the_distributions_own(string osRelease, string command)
    {
        var manager = PackageManager.Of(osRelease);
        Assert.NotNull(manager);
        Assert.Equal(command, string.Join(' ', manager.InstallCommand([.. manager.P11KitPackages, manager.PackageOf("softhsm2"), manager.PackageOf("opensc")])));
    }

    [Theory]
    [InlineData("ID=plan9\n")]
    [InlineData("")]
    public void A_distribution_that_is_not_known_has_none(string osRelease) => Assert.Null(PackageManager.Of(osRelease));

    [Fact]
    public void A_name_that_is_no_module_is_a_packages() => Assert.Equal("yubihsm-pkcs11", PackageManager.Of("ID=debian")!.PackageOf("yubihsm-pkcs11"));
}
