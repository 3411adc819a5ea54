using HsmRemote.Services.P11KitRpc;
using HsmRemote.Services.Sockets;

namespace HsmRemote.Services.Pkcs11;

/// <summary>Reads the objects of one token, whatever way leads to it, with as few calls as it takes.</summary>
sealed class ObjectReader(ITokenAccess access, Pkcs11ObjectQuery query)
{
    static readonly uint[] ValueOnly = [ObjectAttributes.Value];

    /// <summary>Reads them.</summary>
    /// <param name="wanted">The token, as it was read before.</param>
    /// <param name="causes">Says what is in the way of a login.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <returns>The objects in the token's order, or what is in the way of the login that was asked for.</returns>
    /// <exception cref="HsmRemoteException">The token is not there any more.</exception>
    internal async Task<(IReadOnlyList<Pkcs11Object> Objects, Rung? Refused)> ReadAsync(Pkcs11Token wanted, TokenCauses causes, CancellationToken cancellationToken)
    {
        var token = await FindAsync(wanted, cancellationToken);
        await access.OpenSessionAsync(token.SlotId, cancellationToken);
        if (query.Login is { } login
            && await new TokenLogin(login, causes).TryAsync(token, pin => access.LoginAsync(pin, cancellationToken), FlagsAsync, cancellationToken) is { } refused)
            return ([], refused);

        HashSet<ulong> seen = [];
        List<Pkcs11Object> objects = [];
        var uris = new ObjectUri(wanted.Uri);
        foreach (var template in Templates())
        {
            foreach (var handle in await access.FindObjectsAsync(template, cancellationToken))
            {
                if (seen.Add(handle) && await ReadAsync(handle, wanted, uris, cancellationToken) is { } read)
                    objects.Add(read);
            }
        }

        return (objects, null);

        async Task<Pkcs11TokenFlags> FlagsAsync() => (await FindAsync(wanted, cancellationToken)).Flags;
    }

    /// <summary>The token as it is now: its slot may have another number, since each start of a module may give new ones.</summary>
    async Task<Pkcs11Token> FindAsync(Pkcs11Token wanted, CancellationToken cancellationToken)
    {
        var tokens = await access.GetTokensAsync(cancellationToken);
        return tokens.Where(token => token.Uri == wanted.Uri).OrderByDescending(token => token.SlotId == wanted.SlotId).FirstOrDefault()
            ?? throw new HsmRemoteException(
                "TokenGone", FailureKind.NotFound, $"The token '{wanted.Label}' is no longer where it was read: {wanted.SocketPath ?? wanted.ModulePath}.",
                "Plug it in, and read it again: Get-Pkcs11Token.", wanted);
    }

    async Task<Pkcs11Object?> ReadAsync(ulong handle, Pkcs11Token token, ObjectUri uris, CancellationToken cancellationToken)
    {
        try
        {
            var attributes = new ObjectAttributes(await access.GetAttributesAsync(handle, ObjectAttributes.Types, cancellationToken));
            // The value of anything else is not asked for: it may be a key.
            var certificate = attributes.Class == Pkcs11ObjectClass.Certificate
                ? (await access.GetAttributesAsync(handle, ValueOnly, cancellationToken))[0].Value
                : null;
            return attributes.ToObject(token, uris, certificate);
        }
        catch (Pkcs11ErrorException e) when (e.ReturnValue is ReturnValue.ObjectHandleInvalid)
        {
            // Deleted since it was found.
            return null;
        }
    }

    /// <summary>A template for each combination of what is asked for.</summary>
    IEnumerable<IReadOnlyList<RpcAttribute>> Templates() =>
        from objectClass in Choices(query.Classes, value => RpcAttribute.FromUlong(ObjectAttributes.ClassType, (ulong)value))
        from label in Choices(query.Labels, value => new RpcAttribute(ObjectAttributes.LabelType, value))
        from id in Choices(query.Ids, value => new RpcAttribute(ObjectAttributes.IdType, value))
        select new[] { objectClass, label, id }.OfType<RpcAttribute>().ToArray();

    // None given is one choice: whatever it is.
    static IEnumerable<RpcAttribute?> Choices<T>(IReadOnlyList<T> values, Func<T, RpcAttribute?> attribute) =>
        values.Count == 0 ? [null] : values.Select(attribute);
}
