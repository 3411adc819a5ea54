using System.Collections.Concurrent;
using System.Globalization;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using HsmRemote.Services.Containers;
using HsmRemote.Services.Native;
using HsmRemote.Services.P11Kit;
using HsmRemote.Services.P11KitRpc;
using HsmRemote.Services.Sockets;

namespace HsmRemote.Services.Pkcs11;

/// <summary>What came of reading a module: its contents, or why there are none.</summary>
sealed record ModuleReading(ModuleEntry Module, ModuleContents? Contents, HsmRemoteException? Failure);

/// <summary>Reads modules, of which any may hang: all have the same deadline, and none keeps the others from being read.</summary>
sealed class ModuleReader(bool isolated, TimeSpan timeout, IReporter reporter)
{
    // Modules in this process are read one after the other, since two may talk to the same device; but who takes as long as
    // this is no longer waited for.
    static readonly TimeSpan Patience = TimeSpan.FromSeconds(1);

    // Who waits should know for whom.
    static readonly TimeSpan Slow = TimeSpan.FromSeconds(2);

    // A native call that was left behind, by the path of its library: its module takes no other until it returns.
    static readonly ConcurrentDictionary<string, string> LeftBehind = new(StringComparer.Ordinal);

    /// <summary>Reads modules, and gives what came of it in the same order.</summary>
    internal async Task<IReadOnlyList<ModuleReading>> ReadAsync(IReadOnlyList<ModuleEntry> modules, CancellationToken cancellationToken)
    {
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        deadline.CancelAfter(timeout);
        var readings = new Task<ModuleReading>[modules.Count];
        for (var i = 0; i < modules.Count; i++)
        {
            if (!IsInProcess(modules[i]))
                readings[i] = ReadAsync(modules[i], deadline.Token, cancellationToken);
        }

        var patience = TimeSpan.FromTicks(Math.Min(Patience.Ticks, timeout.Ticks / (2 * Math.Max(1, modules.Count))));
        for (var i = 0; i < modules.Count; i++)
        {
            if (readings[i] is not null)
                continue;
            readings[i] = ReadAsync(modules[i], deadline.Token, cancellationToken);
            if (!readings[i].IsCompleted)
                await Task.WhenAny(readings[i], Task.Delay(patience, cancellationToken));
        }

        return await Task.WhenAll(readings);
    }

    bool IsInProcess(ModuleEntry module) => !isolated && module.Path is not null;

    async Task<ModuleReading> ReadAsync(ModuleEntry module, CancellationToken deadline, CancellationToken cancellationToken)
    {
        using var step = new Step(reporter, $"Read the module {module.Name} ({module.Location})") { Outcome = "failed" };
        try
        {
            var contents = StartAsync(module, deadline);
            if (!contents.IsCompleted && await Task.WhenAny(contents, Task.Delay(Slow, deadline)) != contents && !deadline.IsCancellationRequested)
                reporter.Warning($"The module '{module.Name}' ({module.Location}) has not answered for {Slow.TotalSeconds:0} s; it has until -TimeoutSeconds ({timeout.TotalSeconds:0.###} s).");
            var read = await contents;
            step.Outcome = $"tokens: {read.Tokens.Count}";
            foreach (var same in read.Failures.GroupBy(failure => failure.Message, StringComparer.Ordinal))
                reporter.Error(Failed(module, same.Count() == 1 ? same.Key : $"{same.Key.TrimEnd('.')} for {same.Count()} slots", same.First()));
            return new(module, read, null);
        }
        catch (OperationCanceledException e)
        {
            cancellationToken.ThrowIfCancellationRequested();
            return new(module, null, new HsmRemoteException(
                "ModuleTimedOut", FailureKind.Timeout, $"The module '{module.Name}' ({module.Location}) did not answer in {timeout.TotalSeconds:0.###} s.",
                "Check its device or daemon (pcscd, for example), or give -TimeoutSeconds.", module.Location, e));
        }
        catch (HsmRemoteException e)
        {
            return new(module, null, e);
        }
        catch (Exception e)
        {
            return new(module, null, Failed(module, e.Message, e));
        }
    }

    Task<ModuleContents> StartAsync(ModuleEntry module, CancellationToken deadline)
    {
        if (module.Path is { } path)
        {
            if (!File.Exists(path))
            {
                throw new HsmRemoteException(
                    "ModuleMissing", FailureKind.NotFound, $"The module '{module.Name}' has no library: {path} is not there.",
                    $"Install its package, or remove its .module file{(module.Files is [var file, ..] ? $" ({file})" : "")}.", path);
            }

            return isolated ? ServingProcess.UseLibraryAsync(path, ReadAsync, deadline) : ReadInProcessAsync(module, path, deadline);
        }

        return (module.Remote is { } remote ? RemoteAddress.Parse(remote) : null) switch
        {
            RemoteAddress.UnixSocket socket => ReadSocketAsync(module, socket.Path, deadline),
            { } address => UseRemoteAsync(address, ReadAsync, deadline),
            _ => throw new HsmRemoteException(
                "ModuleNotReadable", FailureKind.InvalidData,
                module.Remote is null ? $"The module '{module.Name}' is switched off: {module.NotUsed}." : $"The module '{module.Name}' has an address that p11-kit cannot use: 'remote: {module.Remote}'.",
                "It is '|COMMAND', 'unix:path=/PATH' or 'vsock:cid=N;port=N': pkcs11.conf(5).", module.Name),
        };

        Task<ModuleContents> ReadAsync(P11KitRpcClient client) => ModuleContents.ReadAsync(client, module, socketPath: null, deadline);
    }

    /// <summary>Does something with what a module with <c>remote:</c> leads to.</summary>
    /// <exception cref="IOException">It cannot be connected to, or its process ended before it had answered.</exception>
    internal static async Task<T> UseRemoteAsync<T>(RemoteAddress address, Func<P11KitRpcClient, Task<T>> work, CancellationToken cancellationToken)
    {
        if (address is RemoteAddress.Command command)
            return await ServingProcess.UseCommandAsync(command.Words, work, cancellationToken);
        await using var client = await P11KitRpcClient.ConnectAsync(
            address is RemoteAddress.VirtualSocket distant
                ? await VirtualSocketConnector.ConnectAsync(distant.ContextId, distant.Port, cancellationToken)
                : await ConnectAsync(((RemoteAddress.UnixSocket)address).Path, cancellationToken),
            cancellationToken);
        return await work(client);
    }

    static Task<ModuleContents> ReadInProcessAsync(ModuleEntry module, string path, CancellationToken deadline)
    {
        var library = FinalPath.Of(path);
        if (LeftBehind.TryGetValue(library, out var since))
        {
            throw new HsmRemoteException(
                "ModuleTimedOut", FailureKind.Timeout, $"The module '{module.Name}' ({path}) has not returned from a call since {since}.",
                "Read it in a process of its own, with -Isolated, or begin a new session.", path);
        }

        // A native call cannot be interrupted. The thread is left behind if it must be.
        var reading = Task.Factory.StartNew(() => ModuleContents.Read(module), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        var waiting = reading.WaitAsync(deadline);
        // Registered after the waiting is, so called before it ends.
        deadline.Register(() =>
        {
            LeftBehind[library] = DateTime.Now.ToString("T", CultureInfo.InvariantCulture);
            _ = reading.ContinueWith(_ => LeftBehind.TryRemove(library, out var _), CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
        });
        return waiting;
    }

    /// <summary>Reads what is behind a socket.</summary>
    /// <param name="module">The module that is configured so, or null.</param>
    /// <param name="path">The socket.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <exception cref="IOException">It cannot be connected to.</exception>
    internal static async Task<ModuleContents> ReadSocketAsync(ModuleEntry? module, string path, CancellationToken cancellationToken)
    {
        await using var client = await P11KitRpcClient.ConnectAsync(await ConnectAsync(path, cancellationToken), cancellationToken);
        return await ModuleContents.ReadAsync(client, module, path, cancellationToken);
    }

    static async Task<Stream> ConnectAsync(string path, CancellationToken cancellationToken)
    {
        UnixSocketConnector.RequireUsable(path);
        var (socket, errno) = await UnixSocketConnector.ConnectAsync(path, IdentityResolver.Resolve(new P11IdentityRequest()), cancellationToken);
        return socket is not null ? new NetworkStream(socket, ownsSocket: true) : throw new IOException(Marshal.GetPInvokeErrorMessage(errno));
    }

    static HsmRemoteException Failed(ModuleEntry module, string why, Exception cause) => new(
        "ModuleFailed", FailureKind.Unavailable, $"The module '{module.Name}' ({module.Location}) failed: {why.TrimEnd('.')}.",
        cause is DllNotFoundException or EntryPointNotFoundException
            ? $"See what it is and what it lacks: ldd {ShellWord.Quote(module.Location)}; Get-Pkcs11Module shows how it is configured."
            : "Check that its device is plugged in and its daemon runs; Get-Pkcs11Module shows how it is configured.",
        module.Location, cause);
}
