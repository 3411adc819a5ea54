using System.Security.Cryptography.X509Certificates;
using System.Text;
using HsmRemote.Services.Plan;
using HsmRemote.Services.Sockets;

namespace HsmRemote.Services.Containers;

/// <summary>What containers need, and what they have.</summary>
sealed class P11ContainerService : IP11ContainerService
{
    const string SocketVariable = "SOCKET_PATH";

    public async Task<P11ContainerConfig> CreateAsync(P11KitServer server, P11ContainerRequest request, IReporter reporter, CancellationToken cancellationToken)
    {
        var socket = SocketAccess.Of(server);
        var config = await ComputeAsync(socket, request, ContainerUser.Of(request), reporter, cancellationToken);
        return Write(config, socket, request);
    }

    public async Task<IChangePlan> PlanAsync(
        P11KitServer server, P11ContainerRequest request, string path, P11ContainerPin? pin, IReporter reporter, CancellationToken cancellationToken)
    {
        var socket = SocketAccess.Of(server);
        var service = ServiceName(request, socket.Name);
        var user = ContainerUser.Of(request);
        // Who the service runs as already is who has to get in, and stays as it is written.
        var isFiles = request.Engine is P11ContainerEngine.Compose && user.IsImages;
        if (isFiles && ContainerPlanner.ComposeText(path) is { } compose)
            user = ContainerUser.Parse(ComposeMerge.UserOf(path, compose, service));
        var config = await ComputeAsync(socket, request, user, reporter, cancellationToken);
        if (isFiles)
            config = config with { User = null };
        using var bytes = pin?.Pin is { } given ? new PinBytes(given) : null;
        return request.Engine switch
        {
            P11ContainerEngine.Compose => ContainerPlanner.Compose(config, user, service, path, bytes, pin?.AsSecret is true, reporter),
            P11ContainerEngine.Env => ContainerPlanner.Env(config, user, EnvVariables(config, request), path, bytes, pin?.AsSecret is true, reporter),
            _ => ContainerPlanner.Whole(config.Name, path, Write(config, socket, request).Text + (request.Engine is P11ContainerEngine.Docker or P11ContainerEngine.Podman ? "\n" : "")),
        };
    }

    public string Dockerfile(P11ContainerDistribution distribution, uint? userId, uint? groupId) => Containers.Dockerfile.Write(distribution, userId, groupId);

    public IChangePlan PlanDockerfile(P11ContainerDistribution distribution, uint? userId, uint? groupId, string path) =>
        ContainerPlanner.Whole(Path.GetFileName(path), path, Dockerfile(distribution, userId, groupId));

    public Task<P11ContainerConfig> ReadAsync(string container, string? serverName, IReporter reporter, CancellationToken cancellationToken) =>
        ContainerReader.ReadAsync(container, serverName, reporter, cancellationToken);

    public string CertificateVariable(string path)
    {
        try
        {
            // Once through the library, so that what is in the variable is a certificate, and no key that was in the file with it.
            using var certificate = X509CertificateLoader.LoadCertificateFromFile(path);
            return Convert.ToBase64String(Encoding.ASCII.GetBytes(certificate.ExportCertificatePem() + "\n"));
        }
        catch (Exception e) when (e is System.Security.Cryptography.CryptographicException or IOException or UnauthorizedAccessException)
        {
            throw new HsmRemoteException(
                "CertificateFileUnreadable", FailureKind.InvalidData, $"There is no certificate to be read in {path}: {e.Message.TrimEnd('.')}.", "Give a file with an X.509 certificate, PEM or DER.", path, e);
        }
    }

    public Task<IReadOnlyList<string>> ImagesAsync(CancellationToken cancellationToken) => ContainerEngine.ImagesAsync(cancellationToken);

    static async Task<P11ContainerConfig> ComputeAsync(
        SocketAccess socket, P11ContainerRequest request, ContainerUser user, IReporter reporter, CancellationToken cancellationToken)
    {
        // An .env file says nothing of a user, so that no engine has a say in it.
        var engine = request.Engine is P11ContainerEngine.Env ? new EngineFacts(null, Rootless: false) : await EngineFacts.DetectAsync(request, reporter, cancellationToken);
        var config = ContainerNeeds.Compute(socket, engine, request, user);
        ContainerValues.Check(config);
        foreach (var reason in config.Reasons)
            reporter.Verbose($"{reason}");
        return config;
    }

    internal static P11ContainerConfig Write(P11ContainerConfig config, SocketAccess socket, P11ContainerRequest request)
    {
        var service = ServiceName(request, socket.Name);
        switch (config.Engine)
        {
            case P11ContainerEngine.Docker or P11ContainerEngine.Podman:
                var arguments = RunArguments.Write(config);
                return config with { Arguments = arguments, Text = ShellWord.Join(arguments) };
            case P11ContainerEngine.Compose:
                return config with { Text = ComposeService.Write(service, ComposeService.Settings(config, withPinSecret: false)) };
            case P11ContainerEngine.Quadlet:
                return config with { Text = QuadletUnit.Write(config, socket, service) };
            case P11ContainerEngine.Kubernetes:
                return config with { Text = KubernetesPod.Write(config, service) };
            default:
                return config with { Text = Encoding.UTF8.GetString(DotEnvFile.Write([], EnvVariables(config, request), null, withoutPin: false)) };
        }
    }

    static List<KeyValuePair<string, string>> EnvVariables(P11ContainerConfig config, P11ContainerRequest request) =>
        request.Variables.ContainsKey(SocketVariable)
            ? throw ContainerValues.Invalid($"variable {SocketVariable}", "it is computed, and another would lead elsewhere", SocketVariable)
            : [new(SocketVariable, config.SocketPath), .. request.Variables];

    /// <summary>What the service, container or Pod is called.</summary>
    static string ServiceName(P11ContainerRequest request, string server)
    {
        var name = request.ServiceName ?? (request.Engine is P11ContainerEngine.Kubernetes ? KubernetesPod.Name(server) : server);
        var isValid = request.Engine is P11ContainerEngine.Kubernetes
            ? name.Length > 0 && string.Equals(name, KubernetesPod.Name(name), StringComparison.Ordinal)
            : name.Length > 0 && name.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.');
        return isValid ? name : throw ContainerValues.Invalid("service's name", "it is letters, digits, '-', '_' and '.', for Kubernetes in lower case and without the last two", name);
    }
}
