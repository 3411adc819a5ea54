using System.Diagnostics;

namespace HsmRemote.Completers;

/// <summary>
/// Looks for what takes a while, for no longer than a key may take to answer. A look that takes longer goes on by itself, and what
/// it finds is there for the next TAB.
/// </summary>
/// <param name="look">Looks; it ends by itself.</param>
sealed class Glance<T>(Func<Task<IReadOnlyList<T>>> look)
{
    /// <summary>How long TAB waits: with what the engine itself takes, less than 150 ms.</summary>
    static readonly TimeSpan Patience = TimeSpan.FromMilliseconds(100);

    // What was found is offered no longer than this: a token may have been pulled out since.
    static readonly TimeSpan Lifetime = TimeSpan.FromSeconds(30);

    readonly Lock changing = new();
    Task<IReadOnlyList<T>>? underWay;
    IReadOnlyList<T> found = [];
    long foundAt;

    /// <summary>What is there, or was when it was last looked; nothing when that is not known yet.</summary>
    internal IReadOnlyList<T> Values()
    {
        Task<IReadOnlyList<T>> current;
        lock (changing)
            current = underWay ??= Task.Run(LookAsync);
        if (Task.WhenAny(current, Task.Delay(Patience)).GetAwaiter().GetResult() == current)
            return current.GetAwaiter().GetResult();
        lock (changing)
            return foundAt != 0 && Stopwatch.GetElapsedTime(foundAt) < Lifetime ? found : [];
    }

    async Task<IReadOnlyList<T>> LookAsync()
    {
        IReadOnlyList<T> values = [];
        try
        {
            return values = await look();
        }
        finally
        {
            lock (changing)
            {
                (underWay, found, foundAt) = (null, values, Stopwatch.GetTimestamp());
            }
        }
    }
}
