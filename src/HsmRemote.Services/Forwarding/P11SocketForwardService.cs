using HsmRemote.Services.Native;
using HsmRemote.Services.Plan;
using HsmRemote.Services.Server;
using HsmRemote.Services.Sockets;
using HsmRemote.Services.Systemd;

namespace HsmRemote.Services.Forwarding;

/// <summary>Sockets that travel: what there is, and the plans that change it.</summary>
sealed class P11SocketForwardService : IP11SocketForwardService
{
    const string DefaultRemotePath = "/tmp/pkcs11";

    public IReadOnlyList<P11SocketForward> Get(IReporter reporter)
    {
        using var step = new Step(reporter, "Look for forwards, and what they are doing");
        using var managers = new SystemdManagers();
        return [.. ForwardInventory.Settings().Select(forward => ForwardInventory.Describe(forward, ForwardLayout.IsLaunchd ? null : managers[forward.Layout.Scope]))];
    }

    public IReadOnlyList<string> Names() => [.. ForwardInventory.Settings().Select(forward => forward.Layout.Name)];

    public IReadOnlyList<string> HostNames()
    {
        var config = Path.Combine(Caller.Home, ".ssh", "config");
        return File.Exists(config)
            ? [.. File.ReadLines(config).Select(line => line.Trim().Split([' ', '\t', '='], StringSplitOptions.RemoveEmptyEntries))
                .Where(words => words.Length > 1 && words[0].Equals("Host", StringComparison.OrdinalIgnoreCase))
                .SelectMany(words => words.Skip(1)).Where(host => host.AsSpan().IndexOfAny("*?!") < 0)]
            : [];
    }

    public (string Name, P11KitServerScope Scope) Identify(P11SocketForwardSpec spec)
    {
        var scope = ForwardLayout.IsLaunchd ? P11KitServerScope.User : spec.Scope ?? (Caller.IsRoot ? P11KitServerScope.System : P11KitServerScope.User);
        if (spec.Name is not null)
        {
            ForwardRules.CheckName(spec.Name);
            return (spec.Name, scope);
        }

        var host = spec.HostName ?? (spec.ColimaProfile is null or Colima.DefaultProfile ? "colima" : $"colima-{spec.ColimaProfile}");
        // A socket is called by its directory.
        var what = spec.ServerName ?? Path.GetFileName(Path.GetDirectoryName(spec.SocketPath ?? spec.RemotePath ?? DefaultRemotePath));
        var name = $"{what}-{string.Concat(host.Select(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '_' ? c : '-'))}".Trim('-');
        ForwardRules.CheckName(name);
        return (name, scope);
    }

    public async Task<IDisposable> LockAsync(string name, P11KitServerScope scope, IReporter reporter, CancellationToken cancellationToken)
    {
        if (ForwardLayout.IsLaunchd)
            return new MemoryStream();
        if (scope == P11KitServerScope.User)
            SystemBus.RequireUserManager();
        else if (!Caller.IsRoot)
        {
            throw new HsmRemoteException(
                "RootRequired", FailureKind.PermissionDenied, $"Changing the machine's forward '{name}' needs root; nothing has been changed.",
                "Run it as root, for example with sudo. For a forward of your own: -Scope User.", name);
        }

        SystemBus.RequireBooted();
        return await InstanceLock.TakeAsync(new InstanceLayout($"{ForwardLayout.Prefix}{name}", scope), reporter, cancellationToken);
    }

    public async Task<IChangePlan> PlanNewAsync(P11SocketForwardSpec spec, IReporter reporter, CancellationToken cancellationToken)
    {
        if (ForwardLayout.IsLaunchd)
            return await LaunchdPlanner.NewAsync(await SettleAsync(spec, cancellationToken), cancellationToken);
        var managers = new SystemdManagers();
        try
        {
            return await new ForwardPlanner(managers, reporter).NewAsync(await SettleAsync(spec, cancellationToken), cancellationToken);
        }
        catch
        {
            managers.Dispose();
            throw;
        }
    }

    public async Task<IChangePlan> PlanRemoveAsync(string name, P11KitServerScope scope, IReporter reporter, CancellationToken cancellationToken)
    {
        ForwardRules.CheckName(name);
        if (ForwardLayout.IsLaunchd)
            return await LaunchdPlanner.RemoveAsync(name, reporter, cancellationToken);
        var managers = new SystemdManagers();
        try
        {
            return await new ForwardPlanner(managers, reporter).RemoveAsync(name, scope, cancellationToken);
        }
        catch
        {
            managers.Dispose();
            throw;
        }
    }

    public Task<P11SocketTest> TestAsync(P11SocketForward forward, TimeSpan timeout, CancellationToken cancellationToken, P11Login? login = null) =>
        ForwardInventory.Find(forward.Name, forward.Scope) is { } found
            ? P11SocketService.TestAsync(found, timeout, login, cancellationToken)
            : throw new HsmRemoteException("ForwardNotFound", FailureKind.NotFound, $"There is no forward '{forward.Name}' any more.", "See which there are: Get-P11SocketForward.", forward.Name);

    /// <summary>Decides what the administrator left open.</summary>
    async Task<ForwardSettings> SettleAsync(P11SocketForwardSpec spec, CancellationToken cancellationToken)
    {
        var (name, scope) = Identify(spec);
        var layout = new ForwardLayout(name, scope, spec.Persist);
        var host = spec.ColimaProfile is { } profile ? (await Colima.ReadAsync(profile, cancellationToken)).Host : spec.HostName!;
        if (spec.Direction == P11ForwardDirection.Pull && spec.RemotePath is null)
        {
            throw new HsmRemoteException(
                "RemotePathRequired", FailureKind.InvalidArgument, $"Which socket of {host} is to appear here was not said.", "Give it with -RemotePath, for example /run/edge/pkcs11.", host);
        }

        var mode = spec.SocketMode ?? (spec.Group is null
            ? UnixFileMode.UserRead | UnixFileMode.UserWrite
            : UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.GroupWrite);
        return new ForwardSettings(
            layout, spec.Direction, host,
            spec.SocketPath ?? $"{layout.StateDirectory}/pkcs11", spec.RemotePath ?? DefaultRemotePath)
        {
            Port = spec.Port,
            UserName = spec.UserName,
            KeyPath = spec.KeyPath,
            SshConfig = spec.SshConfig,
            ColimaProfile = spec.ColimaProfile,
            ServerName = spec.ServerName,
            SocketMode = Convert.ToString((int)mode, 8).PadLeft(4, '0'),
            Owner = spec.Owner,
            Group = spec.Group,
        };
    }
}
