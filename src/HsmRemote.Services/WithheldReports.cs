namespace HsmRemote.Services;

/// <summary>Keeps back what is reported until it is known whether it matters. Steps are not kept.</summary>
sealed class WithheldReports(IReporter reporter) : IReporter
{
    readonly List<Action> reports = [];

    public void Verbose(string message)
    {
    }

    public void Started(string step)
    {
    }

    public void Ended(string step, string? outcome, TimeSpan duration)
    {
    }

    public void Warning(string message) => Add(() => reporter.Warning(message));

    public void Error(HsmRemoteException error) => Add(() => reporter.Error(error));

    internal void Release()
    {
        lock (reports)
        {
            foreach (var report in reports)
                report();
        }
    }

    void Add(Action report)
    {
        lock (reports)
            reports.Add(report);
    }
}
