using System.Collections.Concurrent;

namespace HsmRemote.Tests;

/// <summary>Keeps what a service reports.</summary>
sealed class RecordingReporter : IReporter
{
    internal ConcurrentQueue<string> Messages { get; } = [];

    internal ConcurrentQueue<string> Warnings { get; } = [];

    internal ConcurrentQueue<HsmRemoteException> Errors { get; } = [];

    public void Verbose(string message) => Messages.Enqueue(message);

    public void Started(string step)
    {
    }

    public void Ended(string step, string? outcome, TimeSpan duration) => Messages.Enqueue(outcome is null ? step : $"{step}: {outcome}");

    public void Warning(string message) => Warnings.Enqueue(message);

    public void Error(HsmRemoteException error) => Errors.Enqueue(error);
}
