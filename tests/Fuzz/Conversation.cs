using System.Buffers.Binary;
using System.Reflection;
using HsmRemote.Services.P11KitRpc;
using HsmRemote.Services.Pkcs11;

namespace HsmRemote.Fuzz;

/// <summary>What a client and a server said to each other, in turns. The first turn is the version.</summary>
sealed record Conversation(string Name, IReadOnlyList<(byte[] Request, byte[] Reply)> Turns)
{
    internal const string Pin = "1234";

    /// <summary>The recordings that this program carries.</summary>
    internal static IReadOnlyList<Conversation> Corpus { get; } =
        [.. Assembly.GetExecutingAssembly().GetManifestResourceNames().Order(StringComparer.Ordinal).Select(Load)];

    /// <summary>Says everything that the client can say, to whatever answers. An error reply does not end it: the connection goes on.</summary>
    internal static async Task HoldAsync(Stream stream, string pin, CancellationToken cancellationToken)
    {
        const ulong NoObject = 0;
        const uint Ecdsa = 0x1041;
        // CKA_CLASS, CKA_TOKEN, CKA_LABEL, CKA_EC_POINT, and one that no object has.
        uint[] attributes = [0x0, 0x1, 0x3, 0x181, 0x7FFFFFF0];

        await using var client = await P11KitRpcClient.ConnectAsync(stream, cancellationToken);
        await TryAsync(client.InitializeAsync);
        await TryAsync(client.GetInfoAsync);
        IReadOnlyList<Pkcs11Token> tokens = [];
        await TryAsync(async end => (tokens, _) = await RpcTokens.ReadAsync(client, end));
        foreach (var slot in tokens.Select(t => t.SlotId))
        {
            await TryAsync(end => client.GetMechanismListAsync(slot, end));
            await TryAsync(end => client.GetMechanismInfoAsync(slot, Ecdsa, end));
            ulong session = 0;
            await TryAsync(async end => session = await client.OpenSessionAsync(slot, end));
            await TryAsync(end => client.LoginAsync(session, System.Text.Encoding.ASCII.GetBytes(pin), end));
            await TryAsync(end => client.GetSessionInfoAsync(session, end));
            IReadOnlyList<ulong> objects = [];
            await TryAsync(async end => objects = await client.FindObjectsAsync(session, [], end));
            foreach (var found in objects.Take(2))
                await TryAsync(end => client.GetAttributeValueAsync(session, found, attributes, end));
            var random = new byte[32];
            await TryAsync(async end => random = await client.GenerateRandomAsync(session, random.Length, end));
            await TryAsync(end => client.SignAsync(session, Ecdsa, objects.FirstOrDefault(NoObject), random, end));
            await TryAsync(end => client.LogoutAsync(session, end));
            await TryAsync(end => client.CloseSessionAsync(session, end));
        }

        await TryAsync(client.FinalizeAsync);

        async Task TryAsync(Func<CancellationToken, Task> call)
        {
            try
            {
                await call(cancellationToken);
            }
            catch (Pkcs11ErrorException)
            {
                // The next call may go well.
            }
        }
    }

    /// <summary>Writes it as a file: for each turn the request and the reply, each with its length before it.</summary>
    internal void Save(string directory)
    {
        using var file = File.Create(Path.Combine(directory, $"{Name}.conversation"));
        Span<byte> length = stackalloc byte[sizeof(int)];
        foreach (var bytes in Turns.SelectMany(turn => new[] { turn.Request, turn.Reply }))
        {
            BinaryPrimitives.WriteInt32BigEndian(length, bytes.Length);
            file.Write(length);
            file.Write(bytes);
        }
    }

    static Conversation Load(string name)
    {
        using var file = Assembly.GetExecutingAssembly().GetManifestResourceStream(name)!;
        List<(byte[] Request, byte[] Reply)> turns = [];
        while (file.Position < file.Length)
            turns.Add((Next(), Next()));
        return new(name, turns);

        byte[] Next()
        {
            Span<byte> length = stackalloc byte[sizeof(int)];
            file.ReadExactly(length);
            var bytes = new byte[BinaryPrimitives.ReadInt32BigEndian(length)];
            file.ReadExactly(bytes);
            return bytes;
        }
    }
}
