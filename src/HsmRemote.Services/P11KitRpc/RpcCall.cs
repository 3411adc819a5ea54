namespace HsmRemote.Services.P11KitRpc;

/// <summary>A call of the protocol. The numbers and signatures are the same in every version.</summary>
/// <param name="Id">Its number on the wire.</param>
/// <param name="Function">The function of PKCS #11.</param>
/// <param name="Request">The types of its arguments.</param>
/// <param name="Reply">The types of its results.</param>
sealed record RpcCall(uint Id, string Function, string Request, string Reply)
{
    internal static readonly RpcCall Initialize = new(1, "C_Initialize", "ayyay", "");
    internal static readonly RpcCall Finalize = new(2, "C_Finalize", "", "");
    internal static readonly RpcCall GetInfo = new(3, "C_GetInfo", "", "vsusv");
    internal static readonly RpcCall GetSlotList = new(4, "C_GetSlotList", "yfu", "au");
    internal static readonly RpcCall GetSlotInfo = new(5, "C_GetSlotInfo", "u", "ssuvv");
    internal static readonly RpcCall GetTokenInfo = new(6, "C_GetTokenInfo", "u", "ssssuuuuuuuuuuuvvs");
    internal static readonly RpcCall GetMechanismList = new(7, "C_GetMechanismList", "ufu", "au");
    internal static readonly RpcCall GetMechanismInfo = new(8, "C_GetMechanismInfo", "uu", "uuu");
}
