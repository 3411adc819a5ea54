using HsmRemote.Services.Pkcs11;

namespace HsmRemote.Services.P11KitRpc;

/// <summary>CK_INFO as it came.</summary>
sealed record RawInfo(Version CryptokiVersion, byte[] Manufacturer, ulong Flags, byte[] LibraryDescription, Version LibraryVersion);

/// <summary>CK_MECHANISM_INFO as it came.</summary>
sealed record RawMechanismInfo(ulong MinKeySize, ulong MaxKeySize, ulong Flags);

/// <summary>CK_SESSION_INFO as it came.</summary>
sealed record RawSessionInfo(ulong SlotId, ulong State, ulong Flags, ulong DeviceError);

/// <summary>PKCS #11 over the RPC protocol of p11-kit. One call at a time.</summary>
/// <remarks>
/// Every call ends by its token at the latest. It throws <see cref="Pkcs11ErrorException"/> when the function failed on the
/// far side, which leaves the connection usable, and <see cref="P11KitRpcException"/> when the conversation broke, which does not.
/// </remarks>
sealed class P11KitRpcClient : IAsyncDisposable
{
    // CK_INFO, CK_SLOT_INFO and CK_TOKEN_INFO, PKCS #11 v2.40 section 3.
    const int ManufacturerLength = 32;
    const int DescriptionLength = 64;
    const int LibraryDescriptionLength = 32;
    const int LabelLength = 32;
    const int ModelLength = 16;
    const int SerialNumberLength = 16;
    const int UtcTimeLength = 16;

    // The server counts what it has sent; a client starts here and never uses 0.
    const uint FirstCallCode = 0x10;

    readonly RpcConnection connection;
    readonly RpcRequestWriter request = new();
    uint callCode = FirstCallCode - 1;
    bool initialized;

    P11KitRpcClient(RpcConnection connection, int version)
    {
        this.connection = connection;
        Version = version;
    }

    delegate T ReplyParser<out T>(ref RpcReplyReader reply);

    /// <summary>The version that both sides speak.</summary>
    internal int Version { get; }

    /// <summary>Agrees on the version. The stream is the client's from here on, and is closed when this fails.</summary>
    internal static async Task<P11KitRpcClient> ConnectAsync(Stream stream, CancellationToken cancellationToken)
    {
        var opened = new RpcConnection(stream);
        try
        {
            return new P11KitRpcClient(opened, await opened.NegotiateAsync(cancellationToken));
        }
        catch
        {
            await opened.DisposeAsync();
            throw;
        }
    }

    internal async Task InitializeAsync(CancellationToken cancellationToken)
    {
        // A second one on the same connection crashes p11-kit's side.
        if (initialized)
            throw new InvalidOperationException("C_Initialize has been called on this connection.");
        initialized = true;
        Begin(RpcCall.Initialize);
        request.ByteArray("PRIVATE-GNOME-KEYRING-PKCS11-PROTOCOL-V-1"u8);
        request.Byte(0);
        request.ByteArray([0]);
        await CallAsync(RpcCall.Initialize, cancellationToken);
    }

    internal Task FinalizeAsync(CancellationToken cancellationToken)
    {
        Begin(RpcCall.Finalize);
        return CallAsync(RpcCall.Finalize, cancellationToken);
    }

    internal Task<RawInfo> GetInfoAsync(CancellationToken cancellationToken)
    {
        Begin(RpcCall.GetInfo);
        return CallAsync(
            RpcCall.GetInfo,
            static (ref reply) => new RawInfo(
                ToVersion(reply.Version()), reply.PaddedString(ManufacturerLength), reply.Ulong(), reply.PaddedString(LibraryDescriptionLength), ToVersion(reply.Version())),
            cancellationToken);

        static Version ToVersion((byte Major, byte Minor) version) => new(version.Major, version.Minor);
    }

    internal Task<ulong[]> GetSlotListAsync(bool tokenPresent, CancellationToken cancellationToken)
    {
        Begin(RpcCall.GetSlotList);
        request.Byte(tokenPresent ? (byte)1 : (byte)0);
        request.UlongBuffer(RpcLimits.Slots);
        return CallAsync(RpcCall.GetSlotList, static (ref reply) => reply.UlongArray(RpcLimits.Slots), cancellationToken);
    }

    internal Task<RawSlotInfo> GetSlotInfoAsync(ulong slotId, CancellationToken cancellationToken)
    {
        Begin(RpcCall.GetSlotInfo);
        request.Ulong(slotId);
        return CallAsync(
            RpcCall.GetSlotInfo,
            static (ref reply) =>
            {
                var description = reply.PaddedString(DescriptionLength);
                var manufacturer = reply.PaddedString(ManufacturerLength);
                var flags = reply.Ulong();
                var hardware = reply.Version();
                var firmware = reply.Version();
                return new RawSlotInfo(description, manufacturer, flags, hardware.Major, hardware.Minor, firmware.Major, firmware.Minor);
            },
            cancellationToken);
    }

    internal Task<RawTokenInfo> GetTokenInfoAsync(ulong slotId, CancellationToken cancellationToken)
    {
        Begin(RpcCall.GetTokenInfo);
        request.Ulong(slotId);
        return CallAsync(
            RpcCall.GetTokenInfo,
            static (ref reply) =>
            {
                // In the order of the wire.
                var label = reply.PaddedString(LabelLength);
                var manufacturer = reply.PaddedString(ManufacturerLength);
                var model = reply.PaddedString(ModelLength);
                var serialNumber = reply.PaddedString(SerialNumberLength);
                var numbers = new ulong[11];
                for (var i = 0; i < numbers.Length; i++)
                    numbers[i] = reply.Ulong();
                var hardware = reply.Version();
                var firmware = reply.Version();
                return new RawTokenInfo
                {
                    Label = label,
                    Manufacturer = manufacturer,
                    Model = model,
                    SerialNumber = serialNumber,
                    Flags = numbers[0],
                    MaxSessionCount = numbers[1],
                    SessionCount = numbers[2],
                    MaxReadWriteSessionCount = numbers[3],
                    ReadWriteSessionCount = numbers[4],
                    MaxPinLength = numbers[5],
                    MinPinLength = numbers[6],
                    TotalPublicMemory = numbers[7],
                    FreePublicMemory = numbers[8],
                    TotalPrivateMemory = numbers[9],
                    FreePrivateMemory = numbers[10],
                    HardwareMajor = hardware.Major,
                    HardwareMinor = hardware.Minor,
                    FirmwareMajor = firmware.Major,
                    FirmwareMinor = firmware.Minor,
                    UtcTime = reply.PaddedString(UtcTimeLength),
                };
            },
            cancellationToken);
    }

    internal Task<ulong[]> GetMechanismListAsync(ulong slotId, CancellationToken cancellationToken)
    {
        Begin(RpcCall.GetMechanismList);
        request.Ulong(slotId);
        request.UlongBuffer(RpcLimits.Mechanisms);
        return CallAsync(RpcCall.GetMechanismList, static (ref reply) => reply.UlongArray(RpcLimits.Mechanisms), cancellationToken);
    }

    internal Task<RawMechanismInfo> GetMechanismInfoAsync(ulong slotId, ulong mechanism, CancellationToken cancellationToken)
    {
        Begin(RpcCall.GetMechanismInfo);
        request.Ulong(slotId);
        request.Ulong(mechanism);
        return CallAsync(
            RpcCall.GetMechanismInfo, static (ref reply) => new RawMechanismInfo(reply.Ulong(), reply.Ulong(), reply.Ulong()), cancellationToken);
    }

    internal Task<ulong> OpenSessionAsync(ulong slotId, CancellationToken cancellationToken)
    {
        const ulong SerialSession = 0x4;
        Begin(RpcCall.OpenSession);
        request.Ulong(slotId);
        request.Ulong(SerialSession);
        return CallAsync(RpcCall.OpenSession, static (ref reply) => reply.Ulong(), cancellationToken);
    }

    internal Task CloseSessionAsync(ulong session, CancellationToken cancellationToken)
    {
        Begin(RpcCall.CloseSession);
        request.Ulong(session);
        return CallAsync(RpcCall.CloseSession, cancellationToken);
    }

    internal Task<RawSessionInfo> GetSessionInfoAsync(ulong session, CancellationToken cancellationToken)
    {
        Begin(RpcCall.GetSessionInfo);
        request.Ulong(session);
        return CallAsync(
            RpcCall.GetSessionInfo,
            static (ref reply) => new RawSessionInfo(reply.Ulong(), reply.Ulong(), reply.Ulong(), reply.Ulong()),
            cancellationToken);
    }

    /// <summary>Logs in as the token's user. The PIN is forgotten as soon as it is sent; the caller forgets its own copy.</summary>
    internal Task LoginAsync(ulong session, ReadOnlySpan<byte> pin, CancellationToken cancellationToken)
    {
        const ulong NormalUser = 1;
        Begin(RpcCall.Login);
        request.Ulong(session);
        request.Ulong(NormalUser);
        request.ByteArray(pin);
        return CallAsync(RpcCall.Login, cancellationToken);
    }

    internal Task LogoutAsync(ulong session, CancellationToken cancellationToken)
    {
        Begin(RpcCall.Logout);
        request.Ulong(session);
        return CallAsync(RpcCall.Logout, cancellationToken);
    }

    /// <summary>Every object that a template selects, up to a limit that no sane token reaches.</summary>
    internal async Task<IReadOnlyList<ulong>> FindObjectsAsync(ulong session, IReadOnlyList<RpcAttribute> template, CancellationToken cancellationToken)
    {
        Begin(RpcCall.FindObjectsInit);
        request.Ulong(session);
        request.Attributes(template);
        await CallAsync(RpcCall.FindObjectsInit, cancellationToken);

        List<ulong> objects = [];
        ulong[] found;
        do
        {
            Begin(RpcCall.FindObjects);
            request.Ulong(session);
            request.UlongBuffer(RpcLimits.ObjectsInReply);
            found = await CallAsync(RpcCall.FindObjects, static (ref reply) => reply.UlongArray(RpcLimits.ObjectsInReply), cancellationToken);
            objects.AddRange(found);
        }
        while (found.Length > 0 && objects.Count < RpcLimits.Objects);

        Begin(RpcCall.FindObjectsFinal);
        request.Ulong(session);
        await CallAsync(RpcCall.FindObjectsFinal, cancellationToken);
        return objects;
    }

    /// <summary>Attributes of an object, in the order asked for. Those that it has not, or does not give, have no value.</summary>
    internal async Task<IReadOnlyList<RpcAttribute>> GetAttributeValueAsync(
        ulong session, ulong @object, IReadOnlyList<uint> types, CancellationToken cancellationToken)
    {
        var (attributes, returnValue) = await AskAsync(types, RpcLimits.Bytes);
        if (returnValue is not ReturnValue.BufferTooSmall)
            return attributes;

        // One is larger. Which one is not said, so that each that has no value is asked for alone.
        for (var i = 0; i < attributes.Length; i++)
        {
            if (attributes[i].Value is null && RpcAttribute.FixedLength(types[i]) is null)
                attributes[i] = (await AskAsync([types[i]], RpcLimits.LargeValue)).Attributes[0];
        }

        return attributes;

        async Task<(RpcAttribute[] Attributes, ulong ReturnValue)> AskAsync(IReadOnlyList<uint> asked, int capacity)
        {
            Begin(RpcCall.GetAttributeValue);
            request.Ulong(session);
            request.Ulong(@object);
            request.AttributeBuffers(asked, capacity);
            var answer = await CallAsync(
                RpcCall.GetAttributeValue, (ref reply) => (Attributes: reply.Attributes(asked, capacity), ReturnValue: reply.Ulong()), cancellationToken);
            return answer.ReturnValue is ReturnValue.Ok or ReturnValue.AttributeSensitive or ReturnValue.AttributeTypeInvalid or ReturnValue.BufferTooSmall
                ? answer
                : throw new Pkcs11ErrorException(RpcCall.GetAttributeValue.Function, answer.ReturnValue);
        }
    }

    /// <summary>Signs with a mechanism that takes no parameter (CKM_ECDSA, CKM_SHA256_RSA_PKCS).</summary>
    internal async Task<byte[]> SignAsync(ulong session, uint mechanism, ulong key, ReadOnlyMemory<byte> data, CancellationToken cancellationToken)
    {
        try
        {
            await SignInitAsync(withParameter: true);
        }
        catch (Pkcs11ErrorException e) when (e.ReturnValue is ReturnValue.KeyHandleInvalid or ReturnValue.ObjectHandleInvalid)
        {
            // p11-kit 0.25.6 and later read the mechanism in another form, whatever version was agreed on, and so take the
            // handle from the wrong place.
            await SignInitAsync(withParameter: false);
        }

        Begin(RpcCall.Sign);
        request.Ulong(session);
        request.ByteArray(data.Span);
        request.ByteBuffer(RpcLimits.Bytes);
        return await CallAsync(RpcCall.Sign, static (ref reply) => reply.ByteArray(RpcLimits.Bytes), cancellationToken);

        Task<bool> SignInitAsync(bool withParameter)
        {
            Begin(RpcCall.SignInit);
            request.Ulong(session);
            request.Mechanism(mechanism, withParameter);
            request.Ulong(key);
            return CallAsync(RpcCall.SignInit, cancellationToken);
        }
    }

    internal Task<byte[]> GenerateRandomAsync(ulong session, int length, CancellationToken cancellationToken)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(length, RpcLimits.Bytes);
        Begin(RpcCall.GenerateRandom);
        request.Ulong(session);
        request.ByteBuffer(length);
        return CallAsync(RpcCall.GenerateRandom, static (ref reply) => reply.ByteArray(RpcLimits.Bytes), cancellationToken);
    }

    public ValueTask DisposeAsync() => connection.DisposeAsync();

    void Begin(RpcCall call)
    {
        callCode = Math.Max(callCode + 1, FirstCallCode);
        request.Begin(call, callCode);
    }

    Task<bool> CallAsync(RpcCall call, CancellationToken cancellationToken) =>
        CallAsync(call, static (ref _) => true, cancellationToken);

    async Task<T> CallAsync<T>(RpcCall call, ReplyParser<T> parse, CancellationToken cancellationToken)
    {
        try
        {
            var (frame, body) = await connection.ExchangeAsync(call.Function, callCode, request.End(), cancellationToken);
            return Parse(call, frame.Span, body, parse);
        }
        finally
        {
            request.Clear();
        }
    }

    static T Parse<T>(RpcCall call, ReadOnlySpan<byte> frame, int body, ReplyParser<T> parse)
    {
        var reply = new RpcReplyReader(call, frame, body);
        var result = parse(ref reply);
        reply.End();
        return result;
    }
}
