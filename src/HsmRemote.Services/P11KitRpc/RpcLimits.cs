namespace HsmRemote.Services.P11KitRpc;

/// <summary>What the far side may claim. It is checked before anything is allocated.</summary>
static class RpcLimits
{
    /// <summary>Options and body of a frame.</summary>
    internal const int Frame = 1024 * 1024;

    internal const int Slots = 4096;

    internal const int Mechanisms = 4096;

    /// <summary>Objects in one reply; more are fetched by asking again.</summary>
    internal const int Objects = 1024;

    internal const int Attributes = 64;

    /// <summary>A signature, a random number, or an attribute's value.</summary>
    internal const int Bytes = 64 * 1024;
}
