using HsmRemote.Services.Containers;
using HsmRemote.Services.Forwarding;
using HsmRemote.Services.P11Kit;
using HsmRemote.Services.Pkcs11;
using HsmRemote.Services.Server;
using HsmRemote.Services.Sockets;

namespace HsmRemote.Services;

/// <summary>The services, put together. The cmdlets' side makes it by this name (see ServiceLoader).</summary>
public sealed class HsmRemoteServices : IHsmRemoteServices
{
    /// <inheritdoc/>
    public IPkcs11TokenService Tokens { get; } = new Pkcs11TokenService();

    /// <inheritdoc/>
    public IPkcs11ModuleService Modules { get; } = new ModuleService();

    /// <inheritdoc/>
    public IPkcs11ObjectService Objects { get; } = new Pkcs11ObjectService();

    /// <inheritdoc/>
    public IP11KitServerService Servers { get; } = new P11KitServerService(new Pkcs11TokenService());

    /// <inheritdoc/>
    public IP11SocketService Sockets { get; } = new P11SocketService();

    /// <inheritdoc/>
    public IP11ContainerService Containers { get; } = new P11ContainerService();

    /// <inheritdoc/>
    public IP11SocketForwardService Forwards { get; } = new P11SocketForwardService();
}
