using System.Diagnostics;
using System.Globalization;
using System.Management.Automation;

namespace HsmRemote.Commands;

/// <summary>What a command shows of what it is doing, once it has kept its caller waiting for a second: no sooner, and no longer than it lasts.</summary>
sealed class ProgressDisplay(Cmdlet command, string activity)
{
    static readonly TimeSpan Patience = TimeSpan.FromSeconds(1);
    static readonly TimeSpan Interval = TimeSpan.FromSeconds(0.25);

    readonly Stopwatch waiting = new();
    bool isShown;

    /// <summary>How long to wait before there is something to show.</summary>
    TimeSpan Pause => Patience - waiting.Elapsed is var left && left > Interval ? left : Interval;

    /// <summary>Waits for something, and shows what is being done meanwhile.</summary>
    /// <param name="wait">Waits for a time; true when there is nothing more to wait for.</param>
    /// <param name="doing">What is being done.</param>
    internal void Await(Func<TimeSpan, bool> wait, Func<string> doing)
    {
        waiting.Start();
        try
        {
            while (!wait(Pause))
                Show(doing());
        }
        finally
        {
            waiting.Stop();
        }
    }

    /// <summary>Takes it away, if anything is shown.</summary>
    internal void Complete()
    {
        if (!isShown)
            return;
        isShown = false;
        command.WriteProgress(new ProgressRecord(Id, activity, "Done") { RecordType = ProgressRecordType.Completed });
    }

    // One command of ours waits at a time, so that one line is enough for all of them.
    const int Id = 7512;

    void Show(string doing)
    {
        isShown = true;
        command.WriteProgress(new ProgressRecord(Id, activity, string.Create(CultureInfo.InvariantCulture, $"{doing}, {waiting.Elapsed.TotalSeconds:F0} s")));
    }
}
