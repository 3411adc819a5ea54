using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text;
using HsmRemote.Services.Native;
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
            var (objects, refused) = token.SocketPath is { } socket
                ? await ReadSocketAsync(socket, token, query, deadline.Token)
                : await ReadModuleAsync(token, query, deadline.Token);
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

    static async Task<(IReadOnlyList<Pkcs11Object> Objects, Rung? Refused)> ReadSocketAsync(
        string path, Pkcs11Token token, Pkcs11ObjectQuery query, CancellationToken deadline)
    {
        var (socket, errno) = await UnixSocketConnector.ConnectAsync(path, IdentityResolver.Resolve(new P11IdentityRequest()), deadline);
        if (socket is null)
            throw new IOException(Marshal.GetPInvokeErrorMessage(errno));
        await using var client = await P11KitRpcClient.ConnectAsync(new NetworkStream(socket, ownsSocket: true), deadline);
        await client.InitializeAsync(deadline);
        return await new ObjectReader(new RpcTokenAccess(client, path), query).ReadAsync(token, Causes(token), deadline);
    }

    static async Task<(IReadOnlyList<Pkcs11Object> Objects, Rung? Refused)> ReadModuleAsync(Pkcs11Token token, Pkcs11ObjectQuery query, CancellationToken deadline)
    {
        var path = token.ModulePath ?? throw new InvalidOperationException("the token does not say where it was read");
        if (!Environment.Is64BitProcess)
            throw new InvalidOperationException("this is a 32-bit process");
        ProcessEnvironment.PassOn(query.Environment);
        // A native call cannot be interrupted. The thread is left behind if it must be, and ends itself after that call.
        var reading = Task.Factory.StartNew(
            () => InteropModule.Use(path, library =>
            {
                using var access = new ModuleTokenAccess(library, path);
                // It waits for nothing: what is asked of a module in this process is done when the call returns.
                return new ObjectReader(access, query).ReadAsync(token, Causes(token), deadline).GetAwaiter().GetResult();
            }),
            CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        return await reading.WaitAsync(deadline);
    }

    static string Where(Pkcs11Token token) => token.SocketPath ?? token.ModulePath ?? "?";

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
