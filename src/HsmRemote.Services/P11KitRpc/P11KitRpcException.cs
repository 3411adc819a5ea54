namespace HsmRemote.Services.P11KitRpc;

/// <summary>How a conversation broke.</summary>
enum RpcFault
{
    /// <summary>The far side closed, or the connection was reset.</summary>
    Closed,

    /// <summary>What came is not of the protocol's form.</summary>
    Malformed,
}

/// <summary>A conversation broke: in which call, at which offset of the reply, and what was expected there.</summary>
sealed class P11KitRpcException(RpcFault fault, string call, long offset, string expected, string found, Exception? innerException = null)
    : Exception($"{call}: {expected} expected at offset {offset} of the reply, {found} found.", innerException)
{
    internal RpcFault Fault { get; } = fault;

    /// <summary>The function of PKCS #11, or what else was under way.</summary>
    internal string Call { get; } = call;

    /// <summary>In bytes, from the beginning of the reply's frame.</summary>
    internal long Offset { get; } = offset;

    internal string Expected { get; } = expected;

    internal string Found { get; } = found;
}
