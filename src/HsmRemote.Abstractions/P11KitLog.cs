namespace HsmRemote;

/// <summary>An entry of the journal about an instance, systemd.journal-fields(7).</summary>
public sealed class P11KitLogEntry
{
    /// <summary>The instance.</summary>
    public required string Name { get; init; }

    /// <summary>When the journal received it, in local time, to the microsecond.</summary>
    public required DateTimeOffset Time { get; init; }

    /// <summary>How grave it is.</summary>
    public required P11KitLogPriority Priority { get; init; }

    /// <summary>The unit that wrote it, or that systemd wrote it about.</summary>
    public required string Unit { get; init; }

    /// <summary>The process that wrote it, or null when the journal does not say.</summary>
    public int? ProcessId { get; init; }

    /// <summary>Its text.</summary>
    public required string Message { get; init; }

    /// <summary>The process that had connected, where the unit is that of a connection; else null. It may have ended since.</summary>
    public int? PeerProcessId { get; init; }

    /// <summary>The user that had connected, where the unit is that of a connection; else null.</summary>
    public uint? PeerUserId { get; init; }

    /// <inheritdoc/>
    public override string ToString() => Message;
}

/// <summary>How grave a journal entry is, syslog(3): the lower, the graver.</summary>
public enum P11KitLogPriority
{
    /// <summary>The system is unusable.</summary>
    Emergency,

    /// <summary>Something has to be done at once.</summary>
    Alert,

    /// <summary>A critical condition.</summary>
    Critical,

    /// <summary>An error.</summary>
    Error,

    /// <summary>A warning.</summary>
    Warning,

    /// <summary>Normal, and worth a look.</summary>
    Notice,

    /// <summary>Information.</summary>
    Information,

    /// <summary>For who looks for a fault.</summary>
    Debug,
}

/// <summary>A unit file that is not as Install-P11KitServer would write it.</summary>
/// <param name="Path">The file.</param>
/// <param name="Description">What Install-P11KitServer would do about it, for a person.</param>
/// <param name="Difference">From what is there to what would be written, as a unified diff; empty when only mode or owner differ.</param>
public sealed record P11KitDrift(string Path, string Description, string? Difference)
{
    /// <inheritdoc/>
    public override string ToString() => Path;
}
