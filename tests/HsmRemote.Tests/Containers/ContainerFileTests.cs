using HsmRemote.Services.Containers;

namespace HsmRemote.Tests.Containers;

/// <summary>Files that are written as a whole.</summary>
public sealed class ContainerFileTests
{
    [Theory]
    [InlineData("# Written by HsmRemote: New-P11ContainerConfig -Name edge -Engine Quadlet\n[Unit]\n", true)]
    [InlineData("--user 5000:5000 --mount type=bind,source=/run/e,target=/run/e,readonly --env P11_KIT_SERVER_ADDRESS=unix:path=/run/e/pkcs11 debian\n", true)]
    [InlineData("--user 5000:5000\n", false)]
    [InlineData("--env P11_KIT_SERVER_ADDRESS=unix:path=/run/e/pkcs11\n--rm\n", false)]
    [InlineData("docker run --env P11_KIT_SERVER_ADDRESS=unix:path=/run/e/pkcs11\n", false)]
    public void What_was_written_here_is_known(string text, bool isOurs) => Assert.Equal(isOurs, FileMark.IsOn(text));

    [Theory]
    [InlineData(null, "")]
    [InlineData(5000u, "USER 5000:5000\n")]
    public void Alpine_s_packages_and_paths_are_its_own(uint? user, string last) => Assert.Equal(
        """
        # Written by HsmRemote: New-P11ContainerConfig -Dockerfile
        RUN apk add --no-cache p11-kit-server gnutls-utils opensc \
            && mkdir -p /etc/pkcs11/modules \
            && echo 'module: /usr/lib/pkcs11/p11-kit-client.so' >/etc/pkcs11/modules/p11-kit-client.module

        """ + last,
        Dockerfile.Write(P11ContainerDistribution.Alpine, user, null));
}
