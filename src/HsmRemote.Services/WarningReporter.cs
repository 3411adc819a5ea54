namespace HsmRemote.Services;

/// <summary>Where the failure of one module of several is not the command's own.</summary>
sealed class WarningReporter(IReporter reporter) : IReporter
{
    public void Verbose(string message) => reporter.Verbose(message);

    public void Started(string step) => reporter.Started(step);

    public void Ended(string step, string? outcome, TimeSpan duration) => reporter.Ended(step, outcome, duration);

    public void Warning(string message) => reporter.Warning(message);

    public void Error(HsmRemoteException error) => reporter.Warning(error.Message);
}
