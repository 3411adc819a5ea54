namespace HsmRemote;

/// <summary>What went wrong, in the words that the administrator reads: what, on what, why, and what to do.</summary>
/// <param name="errorId">A stable identifier with no spaces, such as <c>NameInUse</c>.</param>
/// <param name="kind">What type of failure it is.</param>
/// <param name="message">What failed, on what, and why.</param>
/// <param name="remedy">What to do about it, or null when nothing can be said.</param>
/// <param name="target">What it failed on: a path, a unit, a name.</param>
/// <param name="innerException">What caused it.</param>
public sealed class HsmRemoteException(
    string errorId, FailureKind kind, string message, string? remedy = null, object? target = null, Exception? innerException = null)
    : Exception(remedy is null ? message : $"{message} {remedy}", innerException)
{
    /// <summary>A stable identifier with no spaces.</summary>
    public string ErrorId { get; } = errorId;

    /// <summary>What type of failure it is.</summary>
    public FailureKind Kind { get; } = kind;

    /// <summary>What failed, on what, and why, without the remedy that <see cref="Exception.Message"/> ends with.</summary>
    public string Failure { get; } = message;

    /// <summary>What to do about it, or null.</summary>
    public string? Remedy { get; } = remedy;

    /// <summary>What it failed on, or null.</summary>
    public object? Target { get; } = target;
}

/// <summary>The type of a failure; the cmdlets turn it into PowerShell's ErrorCategory.</summary>
public enum FailureKind
{
    /// <summary>A value that was given cannot be used.</summary>
    InvalidArgument,

    /// <summary>Data that was read (a file, a reply) is not of its form.</summary>
    InvalidData,

    /// <summary>The state of the machine does not allow it.</summary>
    InvalidOperation,

    /// <summary>What was named is not there.</summary>
    NotFound,

    /// <summary>What would be made is there, and is something else.</summary>
    Exists,

    /// <summary>The caller may not.</summary>
    PermissionDenied,

    /// <summary>Something that is needed (systemd, p11-kit, a token) is not there or does not answer.</summary>
    Unavailable,

    /// <summary>It took longer than it may.</summary>
    Timeout,
}
