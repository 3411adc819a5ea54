using System.Globalization;

namespace HsmRemote.Services.Containers;

/// <summary>
/// The lines of a Dockerfile that an image needs: the client library, tools, and the one file that tells p11-kit of the library. It is the
/// machine's, not a user's, so that it holds for root and for a user who exists only as a number and has no home.
/// </summary>
static class Dockerfile
{
    internal static string Write(P11ContainerDistribution distribution, uint? userId, uint? groupId)
    {
        var (install, library) = distribution switch
        {
            P11ContainerDistribution.Alpine => (
                "apk add --no-cache p11-kit-server gnutls-utils opensc", "/usr/lib/pkcs11/p11-kit-client.so"),
            // Relative to p11-kit's own directory of modules, which has the architecture in its name.
            _ => (
                "apt-get update \\\n    && apt-get install --yes --no-install-recommends p11-kit p11-kit-modules gnutls-bin opensc \\\n    && rm -rf /var/lib/apt/lists/*",
                "p11-kit-client.so"),
        };
        var user = userId is { } id ? string.Create(CultureInfo.InvariantCulture, $"USER {ContainerValues.CheckId(id)}:{ContainerValues.CheckId(groupId ?? id)}\n") : "";
        return $"""
            # {FileMark.Dockerfile}
            RUN {install} \
                && mkdir -p /etc/pkcs11/modules \
                && echo 'module: {library}' >/etc/pkcs11/modules/p11-kit-client.module
            {user}
            """;
    }
}
