namespace HsmRemote.Services.P11KitRpc;

/// <summary>What the far side may claim. It is checked before anything is allocated.</summary>
static class RpcLimits
{
    /// <summary>Options and body of a frame.</summary>
    internal const int Frame = 1024 * 1024;

    /// <summary>Each may become a token, of some 2.5 KB with all that making it takes.</summary>
    internal const int Slots = 1024;

    internal const int Mechanisms = 4096;

    /// <summary>Objects of one search.</summary>
    internal const int Objects = 64 * 1024;

    /// <summary>Objects in one reply of a search.</summary>
    internal const int ObjectsInReply = 1024;

    /// <summary>A signature, random bytes, or an attribute's value.</summary>
    internal const int Bytes = 16 * 1024;

    /// <summary>An attribute's value, when it is asked for alone because it is larger.</summary>
    internal const int LargeValue = 512 * 1024;
}
