using HsmRemote.Services.Server;
using Xunit;

namespace HsmRemote.Tests.Server;

public sealed class SandboxDirectivesTests
{
    static readonly ModuleNeeds NoNeeds = new([], [], [], []);

    [Fact]
    public void A_store_is_written_to_where_it_is_and_one_in_a_hidden_directory_is_put_there()
    {
        var directives = Of(SandboxRequest.Nothing with { Paths = ["/srv/a b%"] }, NoNeeds with { Stores = ["/var/lib/softhsm/tokens"], Visible = ["/run/pcscd", "/etc/opensc"] });
        Assert.Contains(("ReadWritePaths", "-/var/lib/softhsm/tokens"), directives);
        Assert.Contains(("ReadWritePaths", "\"-/srv/a b%%\""), directives);
        Assert.Contains(("BindReadOnlyPaths", "-/run/pcscd"), directives);
        Assert.DoesNotContain(directives, d => d.Value.Contains("/etc/opensc", StringComparison.Ordinal));
        Assert.Contains(("BindPaths", "-/run/tokens"), Of(SandboxRequest.Nothing with { Paths = ["/run/tokens"] }, NoNeeds));
        Assert.Contains(("ReadWritePaths", "-/running"), Of(SandboxRequest.Nothing with { Paths = ["/running"] }, NoNeeds));
    }

    [Fact]
    public void Homes_can_be_entered_only_where_something_of_one_is_needed()
    {
        Assert.Contains(("ProtectHome", "yes"), Of(SandboxRequest.Nothing, NoNeeds));
        var directives = Of(SandboxRequest.Nothing with { Paths = ["/home/p11/tokens"] }, NoNeeds);
        Assert.Contains(("ProtectHome", "tmpfs"), directives);
        Assert.Contains(("BindPaths", "-/home/p11/tokens"), directives);
    }

    [Fact]
    public void A_secret_directory_is_hidden_unless_it_is_asked_for()
    {
        const string Key = "/etc/ssl/private/hsm.key";
        Assert.Contains(Of(SandboxRequest.Nothing, NoNeeds), d => d.Directive is "InaccessiblePaths" && d.Value.Contains("-/etc/ssl/private", StringComparison.Ordinal));
        Assert.DoesNotContain(Of(SandboxRequest.Nothing with { Paths = [Key] }, NoNeeds), d => d.Directive is "InaccessiblePaths" && d.Value.Contains("-/etc/ssl/private", StringComparison.Ordinal));
    }

    [Fact]
    public void A_device_is_put_into_the_private_dev_with_its_group()
    {
        var directives = SandboxDirectives.Of(SandboxRequest.Nothing with { Devices = [SandboxDirectives.UsbDevices] }, NoNeeds with { Devices = ["/dev/tpmrm0"] }, ["tss"]);
        Assert.Contains(("SupplementaryGroups", "tss"), directives);
        Assert.Contains(("BindPaths", "-/dev/tpmrm0"), directives);
        Assert.Contains(("DeviceAllow", "/dev/tpmrm0 rw"), directives);
        Assert.Contains(("DeviceAllow", "char-usb_device rw"), directives);
        Assert.Contains(("ReadOnlyPaths", "/sys"), directives);
        Assert.DoesNotContain(directives, d => d.Directive is "InaccessiblePaths" && d.Value.Contains("/sys", StringComparison.Ordinal));
        Assert.Contains(("InaccessiblePaths", "-/proc"), directives);
    }

    [Fact]
    public void A_variable_reaches_the_service_as_it_is()
    {
        var directives = Of(SandboxRequest.Nothing with { Environment = new Dictionary<string, string> { ["A"] = "x \"y\" \\ % $" }, User = "p11" }, NoNeeds);
        Assert.Contains(("Environment", """
            "A=x \"y\" \\ %% $"
            """.Trim()), directives);
        Assert.Contains(("User", "p11"), directives);
    }

    static IReadOnlyList<(string Directive, string Value)> Of(SandboxRequest request, ModuleNeeds needs) => SandboxDirectives.Of(request, needs, []);
}
