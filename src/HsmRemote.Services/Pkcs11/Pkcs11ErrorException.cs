namespace HsmRemote.Services.Pkcs11;

/// <summary>A PKCS #11 function ended with something else than CKR_OK.</summary>
sealed class Pkcs11ErrorException(string function, ulong returnValue)
    : Exception($"{function} failed with {Pkcs11.ReturnValue.Name(returnValue)}.")
{
    /// <summary>The function, such as <c>C_GetTokenInfo</c>.</summary>
    internal string Function { get; } = function;

    internal ulong ReturnValue { get; } = returnValue;

    internal string Name => Pkcs11.ReturnValue.Name(ReturnValue);
}
