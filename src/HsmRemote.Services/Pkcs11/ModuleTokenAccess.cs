using System.Runtime.InteropServices;
using HsmRemote.Services.P11KitRpc;
using HsmRemote.Services.Sockets;
using Net.Pkcs11Interop.Common;
using Net.Pkcs11Interop.LowLevelAPI80;

namespace HsmRemote.Services.Pkcs11;

/// <summary>Tokens of a module in this process. It may not be left before its module.</summary>
sealed unsafe class ModuleTokenAccess(Pkcs11Library library, string? name, string path) : ITokenAccess, IDisposable
{
    // Of one value at first: certificates are 2 KB, and the modulus of the longest RSA key is as long.
    const int FirstCapacity = 4096;
    const int ObjectsInCall = 4096;

    // CK_UNAVAILABLE_INFORMATION, the length of an attribute that is not given.
    const ulong Unavailable = ulong.MaxValue;

    readonly ulong[] found = new ulong[ObjectsInCall];
    nint values;
    int capacity;
    ulong session;
    bool isLoggedIn;

    public void Dispose()
    {
        if (isLoggedIn)
            library.C_Logout(session);
        if (session != 0)
            library.C_CloseSession(session);
        NativeMemory.Free((void*)values);
    }

    public Task<IReadOnlyList<Pkcs11Token>> GetTokensAsync(CancellationToken cancellationToken) =>
        Task.FromResult<IReadOnlyList<Pkcs11Token>>(Pkcs11Module.ReadTokens(library, name, path, _ => { }));

    public Task OpenSessionAsync(ulong slotId, CancellationToken cancellationToken)
    {
        Pkcs11Module.Check(library.C_OpenSession(slotId, CKF.CKF_SERIAL_SESSION, 0, 0, ref session), "C_OpenSession");
        return Task.CompletedTask;
    }

    public Task LoginAsync(PinBytes pin, CancellationToken cancellationToken)
    {
        Pkcs11Module.Check(library.C_Login(session, CKU.CKU_USER, pin.Buffer, (ulong)pin.Span.Length), "C_Login");
        isLoggedIn = true;
        return Task.CompletedTask;
    }

    public Task<IReadOnlyList<ulong>> FindObjectsAsync(IReadOnlyList<RpcAttribute> template, CancellationToken cancellationToken)
    {
        List<ulong> objects = [];
        var pins = template.Select(attribute => GCHandle.Alloc(ToNative(attribute), GCHandleType.Pinned)).ToList();
        try
        {
            var wanted = template.Zip(pins, (attribute, pin) => new CK_ATTRIBUTE
            {
                type = attribute.Type, value = pin.AddrOfPinnedObject(), valueLen = (ulong)attribute.Value!.Length,
            }).ToArray();
            Pkcs11Module.Check(library.C_FindObjectsInit(session, wanted, (ulong)wanted.Length), "C_FindObjectsInit");
        }
        finally
        {
            pins.ForEach(pin => pin.Free());
        }

        try
        {
            ulong count;
            do
            {
                cancellationToken.ThrowIfCancellationRequested();
                count = 0;
                Pkcs11Module.Check(library.C_FindObjects(session, found, ObjectsInCall, ref count), "C_FindObjects");
                // Some modules claim more than they were given room for.
                count = Math.Min(count, ObjectsInCall);
                objects.AddRange(found.AsSpan(0, (int)count));
            }
            while (count > 0 && objects.Count < RpcLimits.Objects);
        }
        finally
        {
            library.C_FindObjectsFinal(session);
        }

        return Task.FromResult<IReadOnlyList<ulong>>(objects);
    }

    public Task<IReadOnlyList<RpcAttribute>> GetAttributesAsync(ulong handle, IReadOnlyList<uint> types, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        Reserve(Math.Max(capacity, types.Count * FirstCapacity));
        var asked = new CK_ATTRIBUTE[types.Count];
        for (var i = 0; i < asked.Length; i++)
            asked[i] = new() { type = types[i], value = values + (i * FirstCapacity), valueLen = FirstCapacity };
        var isTooSmall = !Ask(handle, asked);

        var attributes = new RpcAttribute[asked.Length];
        for (var i = 0; i < asked.Length; i++)
        {
            attributes[i] = new(types[i], asked[i].valueLen <= FirstCapacity ? FromNative(types[i], asked[i])
                : isTooSmall ? AskAlone(handle, types[i])
                : null);
        }

        return Task.FromResult<IReadOnlyList<RpcAttribute>>(attributes);
    }

    /// <summary>One attribute that may be larger: its length, and then its value.</summary>
    byte[]? AskAlone(ulong handle, uint type)
    {
        CK_ATTRIBUTE[] asked = [new() { type = type }];
        Ask(handle, asked);
        if (asked[0].valueLen is Unavailable or > RpcLimits.LargeValue)
            return null;
        var length = asked[0].valueLen;
        Reserve((int)length);
        asked[0].value = values;
        return Ask(handle, asked) && asked[0].valueLen <= length ? FromNative(type, asked[0]) : null;
    }

    /// <summary>Whether every value that the object gives had room.</summary>
    bool Ask(ulong handle, CK_ATTRIBUTE[] asked)
    {
        var result = library.C_GetAttributeValue(session, handle, asked, (ulong)asked.Length);
        if (result is not (CKR.CKR_ATTRIBUTE_SENSITIVE or CKR.CKR_ATTRIBUTE_TYPE_INVALID or CKR.CKR_BUFFER_TOO_SMALL))
            Pkcs11Module.Check(result, "C_GetAttributeValue");
        return result is not CKR.CKR_BUFFER_TOO_SMALL;
    }

    void Reserve(int length)
    {
        if (length <= capacity)
            return;
        values = (nint)NativeMemory.Realloc((void*)values, (nuint)length);
        capacity = length;
    }

    // A CK_ULONG is in the machine's order here, and in the network's on the wire; all else is the same.
    static byte[] ToNative(RpcAttribute attribute) =>
        RpcAttribute.FixedLength(attribute.Type) == sizeof(ulong) ? BitConverter.GetBytes(attribute.ToUlong()!.Value) : attribute.Value!;

    static byte[]? FromNative(uint type, in CK_ATTRIBUTE attribute)
    {
        var value = new ReadOnlySpan<byte>((void*)attribute.value, (int)attribute.valueLen).ToArray();
        if (RpcAttribute.FixedLength(type) is { } length && value.Length != length)
            return null;
        if (value.Length == sizeof(ulong) && RpcAttribute.FixedLength(type) is not null)
            Array.Reverse(value);
        return value;
    }
}
