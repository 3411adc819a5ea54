namespace HsmRemote.Services;

/// <summary>A step of the work: told when it begins and, with its duration, when it has ended.</summary>
sealed class Step : IDisposable
{
    readonly IReporter reporter;
    readonly string what;
    readonly long started = TimeProvider.System.GetTimestamp();

    /// <summary>Begins a step.</summary>
    /// <param name="reporter">Told of it.</param>
    /// <param name="what">What is done, as one would ask for it: 'Read the module opensc'.</param>
    internal Step(IReporter reporter, string what)
    {
        this.reporter = reporter;
        this.what = what;
        reporter.Started(what);
    }

    /// <summary>What came of it in a few words, or null.</summary>
    internal string? Outcome { get; set; }

    public void Dispose() => reporter.Ended(what, Outcome, TimeProvider.System.GetElapsedTime(started));
}
