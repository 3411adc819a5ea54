namespace HsmRemote.Services;

/// <summary>For look-ups whose side remarks somebody else makes.</summary>
sealed class NoReporter : IReporter
{
    public void Verbose(string message)
    {
    }

    public void Warning(string message)
    {
    }

    public void Error(HsmRemoteException error)
    {
    }
}
