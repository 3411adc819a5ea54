using System.Collections.Concurrent;
using System.Diagnostics;
using HsmRemote.Services.P11KitRpc;
using HsmRemote.Services.Sockets;

namespace HsmRemote.Fuzz;

/// <summary>Puts a case to the client, or to a whole test, and says what is wrong with how it ended.</summary>
sealed class Judge : IDisposable
{
    internal const long MemoryLimit = 4 * 1024 * 1024;

    // The promise is half a second; a machine that is busy with other things gets more.
    static readonly TimeSpan Grace = TimeSpan.FromSeconds(10);

    static readonly TimeSpan Timeout = TimeSpan.FromSeconds(0.1);

    readonly ConcurrentBag<HostileListener> idle = [];
    readonly ConcurrentBag<HostileListener> all = [];

    /// <summary>The client, over a stream in memory.</summary>
    /// <returns>What is wrong, or null.</returns>
    internal static string? OfClient(HostileCase hostile)
    {
        using var patience = new CancellationTokenSource();
        using var stream = new HostileStream(hostile, patience);
        var before = GC.GetAllocatedBytesForCurrentThread();
        var held = Conversation.HoldAsync(stream, Conversation.Pin, patience.Token);
        if (!held.IsCompleted)
            return "it waits for something else than the far side";
        var allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        if (held.Exception?.InnerException is { } e and not P11KitRpcException)
            return $"it ended with {e}";
        if (held.IsCanceled && !patience.IsCancellationRequested)
            return "it was cancelled by nobody";
        return allocated <= MemoryLimit ? null : $"it took {allocated} bytes";
    }

    /// <summary>A whole test, over a real socket.</summary>
    /// <returns>What is wrong, or null.</returns>
    internal async Task<string?> OfTestAsync(HostileCase hostile)
    {
        if (!idle.TryTake(out var listener))
            all.Add(listener = new());
        var served = listener.ServeAsync(hostile);
        var started = Stopwatch.GetTimestamp();
        try
        {
            var timeout = hostile.End == PeerEnd.Stalls ? Timeout : Grace;
            var test = await new P11SocketService().TestAsync(new(null, listener.SocketPath), new(), timeout, CancellationToken.None);
            if (test.Succeeded != (test.Cause == P11SocketCause.None) || (!test.Succeeded && (test.Explanation is null || test.Remedy is null)))
                return $"it ended with {test.Cause}, '{test.Explanation}', '{test.Remedy}'";
            var elapsed = Stopwatch.GetElapsedTime(started);
            if (elapsed > timeout + Grace)
                return $"it took {elapsed}";
        }
#pragma warning disable CA1031 // That there is none is what is tested.
        catch (Exception e)
#pragma warning restore CA1031
        {
            return $"it ended with {e}";
        }

        // Who ran out of time before it had connected is never accepted: that listener is not used again.
        if (await Task.WhenAny(served, Task.Delay(Grace)) == served)
        {
            await served;
            idle.Add(listener);
        }

        return null;
    }

    public void Dispose()
    {
        foreach (var listener in all)
            listener.Dispose();
    }
}
