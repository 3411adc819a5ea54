using HsmRemote.Services.Native;
using HsmRemote.Services.P11Kit;
using HsmRemote.Services.P11KitRpc;

namespace HsmRemote.Services.Pkcs11;

/// <summary>What a module says of itself and its tokens.</summary>
/// <param name="Info">C_GetInfo.</param>
/// <param name="Tokens">The tokens in slot order.</param>
/// <param name="Failures">Why others could not be read: one bad reader must not hide the rest.</param>
sealed record ModuleContents(RawInfo Info, IReadOnlyList<Pkcs11Token> Tokens, IReadOnlyList<Pkcs11ErrorException> Failures)
{
    // C_Finalize ends a module for the whole process, so that two readers of one module must take turns.
    static readonly Dictionary<string, object> Turns = new(StringComparer.Ordinal);

    /// <summary>Who does something with a library in this process holds this.</summary>
    internal static object Turn(string path)
    {
        path = FinalPath.Of(path);
        lock (Turns)
            return Turns.TryGetValue(path, out var turn) ? turn : Turns[path] = new object();
    }

    /// <summary>Reads a library in this process, where it may hang or crash: on a thread that can be left behind.</summary>
    /// <exception cref="Pkcs11ErrorException">A function failed, and nothing can be listed.</exception>
    internal static ModuleContents Read(ModuleEntry module)
    {
        var path = module.Path!;
        lock (Turn(path))
        {
            var library = NativeModule.Load(path);
            var isOurs = library.Initialize(module.Options.GetValueOrDefault("x-init-reserved"));
            try
            {
                return Read(library, module);
            }
            finally
            {
                if (isOurs)
                    library.Complete();
            }
        }
    }

    /// <summary>Reads a library that is initialised.</summary>
    /// <exception cref="Pkcs11ErrorException">A function failed, and nothing can be listed.</exception>
    internal static ModuleContents Read(NativeModule library, ModuleEntry module)
    {
        List<Pkcs11Token> tokens = [];
        List<Pkcs11ErrorException> failures = [];
        foreach (var slotId in library.GetSlotList())
        {
            try
            {
                var slot = library.GetSlotInfo(slotId);
                tokens.Add(library.GetTokenInfo(slotId).ToToken(slotId, slot, module));
            }
            catch (Pkcs11ErrorException e) when (e.ReturnValue == ReturnValue.TokenNotPresent)
            {
                // Pulled out since the list was made.
            }
            catch (Pkcs11ErrorException e)
            {
                failures.Add(e);
            }
        }

        return new(library.GetInfo(), tokens, failures);
    }

    /// <summary>Reads what is behind a connection.</summary>
    /// <param name="client">A client that is not initialised.</param>
    /// <param name="module">The module that is known to be on the far side, or null.</param>
    /// <param name="socketPath">The socket that the connection goes to, or null.</param>
    /// <param name="cancellationToken">Ends it.</param>
    internal static async Task<ModuleContents> ReadAsync(P11KitRpcClient client, ModuleEntry? module, string? socketPath, CancellationToken cancellationToken)
    {
        await client.InitializeAsync(cancellationToken);
        var (tokens, failures) = await RpcTokens.ReadAsync(client, cancellationToken, module, socketPath);
        return new(await client.GetInfoAsync(cancellationToken), tokens, failures);
    }
}
