using System.Text;
using HsmRemote.Services.Native;
using HsmRemote.Services.P11Kit;
using HsmRemote.Services.P11KitRpc;
using HsmRemote.Services.Sockets;

namespace HsmRemote.Services.Pkcs11;

/// <summary>Finds what is in tokens: in the modules of this host, and behind sockets.</summary>
sealed class Pkcs11ObjectService : IPkcs11ObjectService
{
    public async Task<IReadOnlyList<Pkcs11Object>> FindAsync(Pkcs11Token token, Pkcs11ObjectQuery query, IReporter reporter, CancellationToken cancellationToken)
    {
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        deadline.CancelAfter(query.Timeout);
        using var step = new Step(reporter, $"Read the objects of '{token.Label}' ({Where(token)})") { Outcome = "failed" };
        try
        {
            var (objects, refused) = await ReadAsync(token, query, deadline.Token);
            if (refused is not null)
                throw Refused(refused, token);
            step.Outcome = $"objects: {objects.Count}";
            if (objects.Count >= RpcLimits.Objects)
                reporter.Warning($"The token '{token.Label}' has {RpcLimits.Objects} objects or more. No more than these are read: ask for less, with -Type, -Label or -Id.");
            return objects;
        }
        catch (OperationCanceledException e) when (!cancellationToken.IsCancellationRequested)
        {
            throw new HsmRemoteException(
                "ObjectsTimedOut", FailureKind.Timeout, $"The objects of the token '{token.Label}' ({Where(token)}) were not read in {query.Timeout.TotalSeconds:0.###} s.",
                "Check its device or daemon (pcscd, for example), ask for less with -Type, -Label or -Id, or give -TimeoutSeconds.", token, e);
        }
        catch (Exception e) when (e is not (OperationCanceledException or HsmRemoteException))
        {
            throw new HsmRemoteException(
                "ObjectsUnreadable", FailureKind.Unavailable, $"The objects of the token '{token.Label}' ({Where(token)}) cannot be read: {e.Message.TrimEnd('.')}.",
                token.SocketPath is { } path ? $"Test-P11Socket -SocketPath {path} says what is wrong." : "See whether it is still there: Get-Pkcs11Token.", token, e);
        }
    }

    public IChangePlan PlanExport(string path, string content) => ExportPlanner.Plan(path, Encoding.ASCII.GetBytes(content));

    static Task<(IReadOnlyList<Pkcs11Object> Objects, Rung? Refused)> ReadAsync(Pkcs11Token token, Pkcs11ObjectQuery query, CancellationToken deadline)
    {
        ProcessEnvironment.PassOn(query.Environment);
        if (token.SocketPath is { } socket)
            return ModuleReader.UseRemoteAsync(new RemoteAddress.UnixSocket(socket), ReadAsync, deadline);
        if (token.ModulePath is { } isolated && query.Isolated)
            return ServingProcess.UseLibraryAsync(isolated, ReadAsync, deadline);
        var configured = ModuleConfiguration.ReadAll(ModuleConfiguration.ThisProgram(), new NoReporter());
        if (token.ModulePath is { } path)
            return ReadModuleAsync(ModuleEntry.OfLibrary(path, configured), token, query, deadline);

        var remote = configured.FirstOrDefault(module => string.Equals(module.Name, token.Module, StringComparison.Ordinal))?.Remote;
        return ModuleReader.UseRemoteAsync(
            (remote is null ? null : RemoteAddress.Parse(remote)) ?? throw new InvalidOperationException($"p11-kit is no more configured with a module '{token.Module}' that has 'remote:'"),
            ReadAsync, deadline);

        async Task<(IReadOnlyList<Pkcs11Object> Objects, Rung? Refused)> ReadAsync(P11KitRpcClient client)
        {
            await client.InitializeAsync(deadline);
            return await new ObjectReader(new RpcTokenAccess(client, token.SocketPath), query).ReadAsync(token, Causes(token), deadline);
        }
    }

    static async Task<(IReadOnlyList<Pkcs11Object> Objects, Rung? Refused)> ReadModuleAsync(
        ModuleEntry module, Pkcs11Token token, Pkcs11ObjectQuery query, CancellationToken deadline)
    {
        var path = module.Path!;
        if (!Environment.Is64BitProcess)
            throw new InvalidOperationException("this is a 32-bit process");
        // A native call cannot be interrupted. The thread is left behind if it must be, and ends itself after that call.
        var reading = Task.Factory.StartNew(
            () => InteropModule.Use(module, library =>
            {
                using var access = new ModuleTokenAccess(library, path);
                // It waits for nothing: what is asked of a module in this process is done when the call returns.
                return new ObjectReader(access, query).ReadAsync(token, Causes(token), deadline).GetAwaiter().GetResult();
            }),
            CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        return await reading.WaitAsync(deadline);
    }

    static string Where(Pkcs11Token token) => token.SocketPath ?? token.ModulePath ?? token.Module ?? "?";

    static TokenCauses Causes(Pkcs11Token token) => new($"Get-Pkcs11Object -Uri '{token.Uri}'");

    static HsmRemoteException Refused(Rung refused, Pkcs11Token token)
    {
        return refused.Cause switch
        {
            P11SocketCause.PinOnReader => Error("PinOnReader", FailureKind.InvalidOperation),
            P11SocketCause.PinNotSet => Error("PinNotSet", FailureKind.InvalidOperation),
            P11SocketCause.PinFinalTry => Error("PinFinalTry", FailureKind.InvalidOperation),
            P11SocketCause.PinLocked => Error("PinLocked", FailureKind.PermissionDenied),
            _ => Error("PinIncorrect", FailureKind.PermissionDenied),
        };

        HsmRemoteException Error(string errorId, FailureKind kind) => new(errorId, kind, refused.Explanation!, refused.Remedy, token);
    }
}
