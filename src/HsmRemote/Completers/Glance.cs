using System.Diagnostics;
using HsmRemote.Commands;

namespace HsmRemote.Completers;

/// <summary>
/// Looks for what takes a while, for no longer than a key may take to answer. A look that takes longer goes on by itself, and what
/// it finds is there for the next TAB.
/// </summary>
/// <param name="look">Looks with an environment; it ends by itself.</param>
sealed class Glance<T>(Func<IReadOnlyDictionary<string, string>, Task<IReadOnlyList<T>>> look)
{
    /// <summary>How long TAB waits: with what the engine itself takes, less than 150 ms, also for the first TAB of a session.</summary>
    static readonly TimeSpan Patience = TimeSpan.FromMilliseconds(80);

    // What was found is offered no longer than this: a token may have been pulled out since.
    static readonly TimeSpan Lifetime = TimeSpan.FromSeconds(30);

    readonly Lock changing = new();
    Look? underWay;
    Look? last;

    /// <summary>What is there, or was when it was last looked; nothing when that is not known yet.</summary>
    internal IReadOnlyList<T> Values()
    {
        var environment = GetPkcs11TokenCommand.SessionEnvironment();
        Look current;
        lock (changing)
        {
            // What the session has set since may lead elsewhere, to another store of tokens for example.
            if (underWay is null || !underWay.IsIn(environment))
                underWay = new(environment, Task.Run(() => look(environment)));
            current = underWay;
        }

        _ = current.Values.ContinueWith(_ => End(current), CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
        if (current.Values.Wait(Patience))
            return current.Values.Result;
        lock (changing)
            return last is { Values.IsCompletedSuccessfully: true } && last.IsIn(environment) && last.Age < Lifetime ? last.Values.Result : [];
    }

    void End(Look look)
    {
        lock (changing)
        {
            look.EndedAt = Stopwatch.GetTimestamp();
            last = look;
            if (underWay == look)
                underWay = null;
        }
    }

    sealed class Look(Dictionary<string, string> environment, Task<IReadOnlyList<T>> values)
    {
        internal Task<IReadOnlyList<T>> Values { get; } = values;

        internal long EndedAt { get; set; }

        internal TimeSpan Age => Stopwatch.GetElapsedTime(EndedAt);

        internal bool IsIn(Dictionary<string, string> other) =>
            environment.Count == other.Count && environment.All(variable => other.TryGetValue(variable.Key, out var value) && string.Equals(value, variable.Value, StringComparison.Ordinal));
    }
}
