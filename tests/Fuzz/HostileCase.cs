using CsCheck;

namespace HsmRemote.Fuzz;

/// <summary>How a hostile server ends.</summary>
enum PeerEnd
{
    Closes,
    Resets,
    Stalls,
}

/// <summary>A real conversation, spoilt: what a server says in each turn, and how it ends.</summary>
/// <param name="Origin">What it was.</param>
/// <param name="Mutations">What is wrong with it.</param>
/// <param name="Turns">How many replies it gives.</param>
/// <param name="End">What it does then.</param>
/// <param name="Chunk">How many bytes come at once, at most.</param>
sealed record HostileCase(Conversation Origin, IReadOnlyList<Mutation> Mutations, int Turns, PeerEnd End, int Chunk)
{
    // Numbers at which lengths and counts turn over.
    static readonly Gen<uint> Extremes = Gen.OneOf(
        Gen.UInt,
        Gen.OneOf(0u, 1u, 2u, 0x7FFFFFFFu, 0x80000000u, 0xFFFFFFFFu, 0xFFFFFFFEu, 0xFFFFFFF4u, 0xFFFFFFF3u, 1024u * 1024, (1024u * 1024) + 1, 16u * 1024, 1024u, 1025u, 4096u, 4097u));

    // The fields of a frame's head, which every reply has: call code, options, body, call, signature.
    static readonly Gen<int> Offsets = Gen.Frequency((1, Gen.OneOf(0, 4, 8, 12, 16, 20)), (2, Gen.Int[0, 400]));

    static readonly Gen<Mutation> Faults = Gen.Select(
        Gen.Int[0, 60], Gen.Enum<MutationKind>(), Offsets, Extremes, Gen.Byte.Array[0, 40], Gen.Bool,
        (turn, kind, offset, value, bytes, mends) => new Mutation(turn, kind, offset, value, bytes, mends));

    /// <summary>Cases of every kind.</summary>
    internal static Gen<HostileCase> Any { get; } = With(Gen.Enum<PeerEnd>());

    /// <summary>Cases in which few stall: over a real socket each of those takes its time.</summary>
    internal static Gen<HostileCase> Brisk { get; } = With(Gen.Frequency((1, Gen.Const(PeerEnd.Stalls)), (30, Gen.Const(PeerEnd.Closes))));

    /// <summary>What it says in each turn.</summary>
    internal byte[][] Script()
    {
        var script = Origin.Turns.Select(turn => turn.Reply).Take(Turns).ToArray();
        if (script.Length == 0)
            return script;
        foreach (var mutation in Mutations)
        {
            ref var reply = ref script[mutation.Turn % script.Length];
            reply = mutation.Apply(reply);
        }

        return script;
    }

    public override string ToString() => $"'{Origin.Name}', {Turns} turns, {End}, {Chunk} bytes at once: {string.Join("; ", Mutations)}";

    static Gen<HostileCase> With(Gen<PeerEnd> ends) => Gen.Select(
        Gen.OneOf<Conversation>([.. Conversation.Corpus]), Faults.List[0, 3], Gen.Frequency((1, Gen.Int[0, 20]), (2, Gen.Const(1000))), ends, Gen.OneOf(1, 3, 13, 4096),
        (origin, mutations, turns, end, chunk) => new HostileCase(origin, mutations, turns, end, chunk));
}
