namespace HsmRemote.Services;

/// <summary>For look-ups whose side remarks somebody else makes.</summary>
sealed class NoReporter : IReporter
{
    public void Verbose(string message)
    {
    }

    public void Started(string step)
    {
    }

    public void Ended(string step, string? outcome, TimeSpan duration)
    {
    }

    public void Warning(string message)
    {
    }

    public void Error(HsmRemoteException error)
    {
    }
}
