using System.Net.Sockets;
using System.Runtime.InteropServices;
using HsmRemote.Services.Native;
using HsmRemote.Services.P11Kit;
using HsmRemote.Services.P11KitRpc;
using HsmRemote.Services.Sockets;

namespace HsmRemote.Services.Pkcs11;

/// <summary>Finds tokens: in the modules of this host, and behind sockets.</summary>
sealed class Pkcs11TokenService : IPkcs11TokenService
{
    public async Task<IReadOnlyList<Pkcs11Token>> FindAsync(Pkcs11TokenQuery query, IReporter reporter, CancellationToken cancellationToken)
    {
        var tokens = query.SocketPath is { } path
            ? await ReadSocketAsync(path, query, reporter, cancellationToken)
            : await ReadModulesAsync(query, reporter, cancellationToken);
        return
        [
            .. tokens
                .Where(token => query.IncludeUninitialized || token.IsInitialized)
                .Where(token => query.IncludeTrust || !token.IsTrustModule)
                .Where(token => query.Uri is null || query.Uri.ToTokenUri().Matches(token.Uri)),
        ];
    }

    public IReadOnlyList<string> ModuleNames() => [.. ModuleConfiguration.Read().Select(module => module.Name)];

    static async Task<List<Pkcs11Token>> ReadModulesAsync(Pkcs11TokenQuery query, IReporter reporter, CancellationToken cancellationToken)
    {
        ProcessEnvironment.PassOn(query.Environment);
        List<Pkcs11Token> tokens = [];
        foreach (var module in Select(query.Module))
        {
            reporter.Verbose($"Reading the module {module.Name} ({module.Path ?? module.Remote})");
            try
            {
                tokens.AddRange(module.Path is { } path
                    ? await ReadLibraryAsync(module.Name, path, query, reporter, cancellationToken)
                    : await ReadRemoteAsync(module, query, reporter, cancellationToken));
            }
            catch (HsmRemoteException e)
            {
                reporter.Error(e);
            }
        }

        return tokens;
    }

    /// <summary>The modules to read: all, or the one of a name or file.</summary>
    static IReadOnlyList<ModuleEntry> Select(string? wanted)
    {
        var configured = ModuleConfiguration.Read();
        if (wanted is null)
            return configured;
        if (wanted.Contains('/', StringComparison.Ordinal))
        {
            var path = Path.GetFullPath(wanted);
            // The same library is often reached by a link too.
            return [configured.FirstOrDefault(m => m.Path is not null && string.Equals(FinalPath.Of(m.Path), FinalPath.Of(path), StringComparison.Ordinal)) ?? new ModuleEntry(Path.GetFileNameWithoutExtension(path), path, null)];
        }

        return configured.FirstOrDefault(m => string.Equals(m.Name, wanted, StringComparison.Ordinal)) is { } found
            ? [found]
            : throw new HsmRemoteException(
                "ModuleNotFound", FailureKind.NotFound, $"p11-kit is not configured with a module '{wanted}'.",
                $"There is: {string.Join(", ", configured.Select(m => m.Name))}. A library is given by its path.", wanted);
    }

    static async Task<IReadOnlyList<Pkcs11Token>> ReadLibraryAsync(
        string name, string path, Pkcs11TokenQuery query, IReporter reporter, CancellationToken cancellationToken)
    {
        if (!File.Exists(path))
        {
            throw new HsmRemoteException(
                "ModuleMissing", FailureKind.NotFound, $"The module '{name}' has no library: {path} is not there.",
                "Install its package, or remove its .module file.", path);
        }

        if (!query.Isolated && !Environment.Is64BitProcess)
        {
            throw new HsmRemoteException(
                "ModuleNotReadable", FailureKind.InvalidOperation, $"The module '{name}' cannot be read: this is a 32-bit process.",
                "Read it in a process of its own: Get-Pkcs11Token -Isolated.", path);
        }

        try
        {
            if (query.Isolated)
            {
                using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
                deadline.CancelAfter(query.Timeout);
                var (tokens, failures) = await IsolatedModule.ReadTokensAsync(name, path, deadline.Token);
                foreach (var failure in failures)
                    reporter.Error(Failed(failure));
                return tokens;
            }

            // A native call cannot be interrupted. The thread is left behind if it must be.
            var reading = Task.Factory.StartNew(
                () => Pkcs11Module.ReadTokens(name, path, failure => reporter.Error(Failed(failure))),
                CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
            return await reading.WaitAsync(query.Timeout, cancellationToken);
        }
        catch (Exception e) when (e is TimeoutException || (e is OperationCanceledException && !cancellationToken.IsCancellationRequested))
        {
            throw new HsmRemoteException(
                "ModuleTimedOut", FailureKind.Timeout, $"The module '{name}' ({path}) did not answer in {query.Timeout.TotalSeconds:0.###} s.",
                "Check its device or daemon (pcscd, for example), or give -TimeoutSeconds.", path, e);
        }
        catch (Exception e) when (e is not (OperationCanceledException or HsmRemoteException))
        {
            throw Failed(e);
        }

        HsmRemoteException Failed(Exception cause) => new(
            "ModuleFailed", FailureKind.Unavailable, $"The module '{name}' ({path}) failed: {cause.Message.TrimEnd('.')}.",
            "Check that its device is plugged in and its daemon runs; 'p11-kit list-modules' shows what p11-kit makes of it.", path, cause);
    }

    static async Task<IReadOnlyList<Pkcs11Token>> ReadRemoteAsync(ModuleEntry module, Pkcs11TokenQuery query, IReporter reporter, CancellationToken cancellationToken)
    {
        const string Unix = "unix:path=";
        if (module.Remote!.StartsWith(Unix, StringComparison.Ordinal))
            return await ReadSocketAsync(module.Remote[Unix.Length..], query, reporter, cancellationToken);
        throw new HsmRemoteException(
            "ModuleNotReadable", FailureKind.InvalidOperation, $"The module '{module.Name}' is remote ({module.Remote}), and only 'unix:path=' is read here.",
            $"Read it with: p11tool --list-tokens.", module.Name);
    }

    static async Task<IReadOnlyList<Pkcs11Token>> ReadSocketAsync(string path, Pkcs11TokenQuery query, IReporter reporter, CancellationToken cancellationToken)
    {
        UnixSocketConnector.RequireUsable(path);
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        deadline.CancelAfter(query.Timeout);
        try
        {
            var (socket, errno) = await UnixSocketConnector.ConnectAsync(path, IdentityResolver.Resolve(new P11IdentityRequest()), deadline.Token);
            if (socket is null)
                throw Unreadable(Marshal.GetPInvokeErrorMessage(errno), FailureKind.Unavailable);
            await using var client = await P11KitRpcClient.ConnectAsync(new NetworkStream(socket, ownsSocket: true), deadline.Token);
            await client.InitializeAsync(deadline.Token);
            var (tokens, failures) = await RpcTokens.ReadAsync(client, deadline.Token, socketPath: path);
            foreach (var failure in failures)
                reporter.Error(Unreadable(failure.Message, FailureKind.Unavailable, failure));
            return tokens;
        }
        catch (Exception e) when (e is P11KitRpcException or Pkcs11ErrorException)
        {
            throw Unreadable(e.Message, FailureKind.Unavailable, e);
        }
        catch (OperationCanceledException e) when (!cancellationToken.IsCancellationRequested)
        {
            throw Unreadable($"no answer within {query.Timeout.TotalSeconds:0.###} s", FailureKind.Timeout, e);
        }

        HsmRemoteException Unreadable(string why, FailureKind kind, Exception? cause = null) => new(
            "SocketUnreadable", kind, $"No tokens can be read through {path}: {why.TrimEnd('.')}.",
            $"Test-P11Socket {(query.ServerName is { } name ? $"-Name {name}" : $"-SocketPath {path}")} says what is wrong.", path, cause);
    }
}
