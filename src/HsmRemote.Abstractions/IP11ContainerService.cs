using System.Security;

namespace HsmRemote;

/// <summary>What a container is to be, and where. What is null is found out on this host, or left to the image.</summary>
public sealed record P11ContainerRequest
{
    /// <summary>Who reads the configuration.</summary>
    public required P11ContainerEngine Engine { get; init; }

    /// <summary>The image.</summary>
    public string? Image { get; init; }

    /// <summary>The user, by a name that the image knows.</summary>
    public string? UserName { get; init; }

    /// <summary>The user, by number, which no image has to know.</summary>
    public uint? UserId { get; init; }

    /// <summary>The primary group, by number; by default the same number as the user's.</summary>
    public uint? GroupId { get; init; }

    /// <summary>Whether the engine runs without root.</summary>
    public bool? Rootless { get; init; }

    /// <summary>The user namespace that the engine puts the container in; <c>host</c>: none.</summary>
    public string? UserNamespace { get; init; }

    /// <summary>What confines containers on the host.</summary>
    public P11SecurityModule? SecurityModule { get; init; }

    /// <summary>The OCI runtime, such as crun.</summary>
    public string? Runtime { get; init; }

    /// <summary>The name of the service, container or Pod; by default the instance's.</summary>
    public string? ServiceName { get; init; }

    /// <summary>More variables.</summary>
    public IReadOnlyDictionary<string, string> Variables { get; init; } = new Dictionary<string, string>(StringComparer.Ordinal);
}

/// <summary>A PIN for a container, and how it gets there.</summary>
/// <param name="Pin">The PIN, or null: the one that is there already. It stays the caller's to dispose of.</param>
/// <param name="AsSecret">As a secret, which is a file, and not in the environment.</param>
public sealed record P11ContainerPin(SecureString? Pin, bool AsSecret);

/// <summary>What containers need, and what they have.</summary>
public interface IP11ContainerService
{
    /// <summary>What a container needs to use the token of an instance.</summary>
    /// <exception cref="HsmRemoteException">It cannot work, and why; or a value cannot be written for that engine.</exception>
    Task<P11ContainerConfig> CreateAsync(P11KitServer server, P11ContainerRequest request, IReporter reporter, CancellationToken cancellationToken);

    /// <summary>What is missing for a file to say so. A compose file and an .env file keep what else is in them.</summary>
    /// <param name="server">The instance.</param>
    /// <param name="request">The container.</param>
    /// <param name="path">The file's absolute path.</param>
    /// <param name="pin">The PIN, or null.</param>
    /// <param name="reporter">Where it says what it finds.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <exception cref="HsmRemoteException">It cannot work, or the file cannot be changed without harm.</exception>
    Task<IChangePlan> PlanAsync(
        P11KitServer server, P11ContainerRequest request, string path, P11ContainerPin? pin, IReporter reporter, CancellationToken cancellationToken);

    /// <summary>The lines of a Dockerfile that an image needs.</summary>
    /// <param name="distribution">Of what distribution it is.</param>
    /// <param name="userId">The user that it is to run as, or null.</param>
    /// <param name="groupId">Its primary group; by default the same number.</param>
    string Dockerfile(P11ContainerDistribution distribution, uint? userId, uint? groupId);

    /// <summary>What is missing for a file to hold those lines.</summary>
    /// <param name="distribution">Of what distribution the image is.</param>
    /// <param name="userId">The user that it is to run as, or null.</param>
    /// <param name="groupId">Its primary group.</param>
    /// <param name="path">The file's absolute path.</param>
    IChangePlan PlanDockerfile(P11ContainerDistribution distribution, uint? userId, uint? groupId, string path);

    /// <summary>What a container has, and where that is not what it needs.</summary>
    /// <param name="container">Its name or id.</param>
    /// <param name="serverName">The instance that it should use; null: the one that its environment or its mounts lead to.</param>
    /// <param name="reporter">Where it says what it finds.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <exception cref="HsmRemoteException">There is no such container, or nothing in it leads to an instance.</exception>
    Task<P11ContainerConfig> ReadAsync(string container, string? serverName, IReporter reporter, CancellationToken cancellationToken);

    /// <summary>The certificate in a file, PEM in base64 in one line, as compose files of thin-edge.io take it.</summary>
    /// <exception cref="HsmRemoteException">There is no certificate in it.</exception>
    string CertificateVariable(string path);

    /// <summary>The names of the images of this host, for completion; none when no engine answers.</summary>
    Task<IReadOnlyList<string>> ImagesAsync(CancellationToken cancellationToken);
}
