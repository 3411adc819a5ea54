using System.Globalization;
using System.Text;
using HsmRemote.Services.Native;
using Microsoft.Win32.SafeHandles;
using static HsmRemote.Services.Native.FileCalls;

namespace HsmRemote.Services.Plan;

/// <summary>
/// One run at a time plans and applies changes to one thing. It is a lock on a file, flock(2), which ends with the process
/// however that ends; the file has the holder's process id, and goes with the lock.
/// </summary>
sealed class PlanLock : IDisposable
{
    static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(50);
    static readonly TimeSpan UntilWarning = TimeSpan.FromSeconds(3);

    /// <summary>How long a run waits for another: for the longest of them, one that installs packages.</summary>
    internal static readonly TimeSpan Limit = TimeSpan.FromMinutes(5);

    readonly string path;
    readonly SafeFileHandle file;

    PlanLock(string path, SafeFileHandle file)
    {
        this.path = path;
        this.file = file;
    }

    /// <summary>Takes the lock, or waits until it can be taken.</summary>
    /// <param name="path">The lock's file, in a directory that only the caller and root write to.</param>
    /// <param name="name">What is to be changed, for messages.</param>
    /// <param name="reporter">Told who is waited for.</param>
    /// <param name="limit">How long it waits.</param>
    /// <param name="cancellationToken">Ends the waiting.</param>
    /// <exception cref="HsmRemoteException">Another run has had it for too long.</exception>
    internal static async Task<PlanLock> TakeAsync(string path, string name, IReporter reporter, TimeSpan limit, CancellationToken cancellationToken)
    {
        var started = TimeProvider.System.GetTimestamp();
        string? waitingFor = null;
        var warned = false;
        using var step = new Step(reporter, $"Keep other runs from '{name}'");
        while (true)
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (TryTake(path) is { } taken)
                return taken;

            var holder = Holder(path);
            var waited = TimeProvider.System.GetElapsedTime(started);
            if (waited >= limit)
            {
                throw new HsmRemoteException(
                    "InstanceBusy", FailureKind.Timeout,
                    $"Another run is changing '{name}' ({holder}) and has not ended in {limit.TotalSeconds:F0} seconds; nothing has been changed.",
                    "See what it is doing, with ps; it may wait for an answer. Then run the command again.", name);
            }

            var message = $"Waiting for another run on '{name}' ({holder}).";
            if (!warned && waited >= UntilWarning)
            {
                warned = true;
                reporter.Warning(message);
            }
            else if (!string.Equals(holder, waitingFor, StringComparison.Ordinal))
            {
                reporter.Verbose(message);
            }

            waitingFor = holder;
            await Task.Delay(Pause, cancellationToken);
        }
    }

    public void Dispose()
    {
        // Before it is given up: afterwards it might be the file of the next one. Who waits for this file finds out below.
        // One that cannot be removed is in nobody's way: the lock is what counts.
        try
        {
            File.Delete(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
        }

        file.Dispose();
    }

    static PlanLock? TryTake(string path)
    {
        var opened = open(path, ReadWrite | Create | NoFollow | CloseOnExec, 0x180);
        if (opened.IsInvalid)
            throw Failure(path);
        if (flock(opened, LockOrFail) < 0)
        {
            opened.Dispose();
            return null;
        }

        // Between the two calls its last holder may have removed it; then the lock is on a file that nobody else will find.
        if (FileStatus.TryReadAt(opened, "", out var mine) != 0 || FileStatus.TryReadLink(path, out var current) != 0 || !mine.IsSameFileAs(current))
        {
            opened.Dispose();
            return null;
        }

        var taken = new PlanLock(path, opened);
        try
        {
            RandomAccess.SetLength(opened, 0);
            RandomAccess.Write(opened, Encoding.ASCII.GetBytes(Environment.ProcessId.ToString(CultureInfo.InvariantCulture)), 0);
            return taken;
        }
        catch
        {
            taken.Dispose();
            throw;
        }
    }

    // Not with .NET's files, which ask for a lock of this very kind.
    static string Holder(string path)
    {
        Span<byte> text = stackalloc byte[16];
        using var opened = open(path, NoFollow | CloseOnExec, 0);
        return !opened.IsInvalid && int.TryParse(text[..RandomAccess.Read(opened, text, 0)], NumberStyles.None, CultureInfo.InvariantCulture, out var id)
            ? $"process {id}" : "about to begin or to end";
    }
}
