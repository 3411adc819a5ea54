using HsmRemote.Services.Server;
using Xunit;

namespace HsmRemote.Tests.Server;

public sealed class ModuleNeedsTests
{
    const string Tpm = "/usr/lib/x86_64-linux-gnu/pkcs11/libtpm2_pkcs11.so";

    static readonly Dictionary<string, string> NoVariables = [];

    [Fact]
    public void SoftHSM_needs_the_directory_that_its_configuration_names()
    {
        var file = Path.GetTempFileName();
        try
        {
            File.WriteAllText(file, "# a comment\ndirectories.tokendir = /srv/my tokens\nobjectstore.backend = file\n");
            var needs = ModuleNeeds.Of([("/usr/lib/softhsm/libsofthsm2.so", null)], new Dictionary<string, string> { ["SOFTHSM2_CONF"] = file });
            Assert.Equal(["/srv/my tokens"], needs.Stores);
            Assert.Equal([file], needs.Visible);
            Assert.Equal(["SOFTHSM2_CONF"], needs.Variables);
            Assert.Empty(needs.Devices);
        }
        finally
        {
            File.Delete(file);
        }
    }

    [Theory]
    [InlineData("/usr/lib/x86_64-linux-gnu/pkcs11/opensc-pkcs11.so")]
    [InlineData("/usr/lib64/pkcs11/onepin-opensc-pkcs11.so")]
    [InlineData("/usr/lib/x86_64-linux-gnu/libykcs11.so.2")]
    public void A_card_behind_pcscd_needs_its_socket(string module)
    {
        Assert.Equal(["/run/pcscd"], ModuleNeeds.Of([(module, null)], NoVariables).Visible);
        Assert.Equal(["/run/other"], ModuleNeeds.Of([(module, null)], new Dictionary<string, string> { ["PCSCLITE_CSOCK_NAME"] = "/run/other/pcscd.comm" }).Visible);
    }

    [Theory]
    [InlineData(null, "/dev/tpmrm0", null)]
    [InlineData("device", "/dev/tpmrm0", null)]
    [InlineData("device:/dev/tpm0", "/dev/tpm0", null)]
    [InlineData("tabrmd:bus_type=system", null, "/run/dbus")]
    [InlineData("swtpm:path=/run/swtpm/socket", null, "/run/swtpm")]
    [InlineData("swtpm:path=/run/swtpm.sock", null, "/run/swtpm.sock /run/swtpm.sock.ctrl")]
    [InlineData("swtpm:host=localhost,port=2321", null, null)]
    public void A_TPM_needs_its_store_and_what_it_is_reached_through(string? transmission, string? device, string? visible)
    {
        var environment = transmission is null ? NoVariables : new Dictionary<string, string> { ["TPM2_PKCS11_TCTI"] = transmission };
        var needs = ModuleNeeds.Of([(Tpm, null)], environment);
        Assert.Equal(["/etc/tpm2_pkcs11"], needs.Stores);
        Assert.Equal(device is null ? [] : [device], needs.Devices);
        Assert.Equal(visible?.Split(' ') ?? [], needs.Visible);
        Assert.Equal(["/srv/tpm"], ModuleNeeds.Of([(Tpm, null)], new Dictionary<string, string> { ["TPM2_PKCS11_STORE"] = "/srv/tpm" }).Stores);
    }

    [Fact]
    public void A_remote_module_needs_its_socket_and_any_other_nothing()
    {
        Assert.Equal(["/run/far"], ModuleNeeds.Of([(null, "unix:path=/run/far/pkcs11"), (null, "|ssh far p11-kit remote x")], NoVariables).Visible);
        var nothing = ModuleNeeds.Of([("/usr/lib/x86_64-linux-gnu/pkcs11/p11-kit-trust.so", null)], NoVariables);
        Assert.Empty(nothing.Stores.Concat(nothing.Visible).Concat(nothing.Devices).Concat(nothing.Variables));
    }
}
