namespace HsmRemote.Shell;

/// <summary>The script could not even be started.</summary>
internal sealed class StartException(string message, Exception? innerException = null) : Exception(message, innerException);
