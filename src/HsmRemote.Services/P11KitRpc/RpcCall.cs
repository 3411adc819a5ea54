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
    internal static readonly RpcCall OpenSession = new(10, "C_OpenSession", "uu", "u");
    internal static readonly RpcCall CloseSession = new(11, "C_CloseSession", "u", "");
    internal static readonly RpcCall GetSessionInfo = new(13, "C_GetSessionInfo", "u", "uuuu");
    internal static readonly RpcCall Login = new(18, "C_Login", "uuay", "");
    internal static readonly RpcCall Logout = new(19, "C_Logout", "u", "");
    internal static readonly RpcCall GetAttributeValue = new(24, "C_GetAttributeValue", "uufA", "aAu");
    internal static readonly RpcCall FindObjectsInit = new(26, "C_FindObjectsInit", "uaA", "");
    internal static readonly RpcCall FindObjects = new(27, "C_FindObjects", "ufu", "au");
    internal static readonly RpcCall FindObjectsFinal = new(28, "C_FindObjectsFinal", "u", "");
    internal static readonly RpcCall SignInit = new(42, "C_SignInit", "uMu", "");
    internal static readonly RpcCall Sign = new(43, "C_Sign", "uayfy", "ay");
    internal static readonly RpcCall GenerateRandom = new(64, "C_GenerateRandom", "ufy", "ay");
}
