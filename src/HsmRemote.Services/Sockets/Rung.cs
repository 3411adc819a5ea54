namespace HsmRemote.Services.Sockets;

/// <summary>How one check of the ladder ended.</summary>
/// <param name="Detail">What was seen, short enough for a column.</param>
/// <param name="Cause">None when all is well.</param>
/// <param name="Explanation">What is wrong, and why.</param>
/// <param name="Remedy">What to do.</param>
/// <param name="Journal">What the journal has of it.</param>
sealed record Rung(
    string Detail, P11SocketCause Cause = P11SocketCause.None, string? Explanation = null, string? Remedy = null, IReadOnlyList<string>? Journal = null)
{
    /// <summary>Whether what has a cause failed: a warning has one too, and passed.</summary>
    internal P11SocketCheckStatus Status { get; init; } = Cause switch
    {
        P11SocketCause.None => P11SocketCheckStatus.Passed,
        // What was not tried has not failed.
        P11SocketCause.IdentityNotPermitted => P11SocketCheckStatus.Skipped,
        _ => P11SocketCheckStatus.Failed,
    };
}
