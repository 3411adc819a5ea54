namespace HsmRemote;

/// <summary>What a change does.</summary>
public enum ChangeKind
{
    /// <summary>Packages are installed, which stay when a later change fails.</summary>
    InstallPackage,

    /// <summary>A group is created.</summary>
    CreateGroup,

    /// <summary>A group is removed.</summary>
    RemoveGroup,

    /// <summary>A directory is created.</summary>
    CreateDirectory,

    /// <summary>A directory that is empty by then is removed.</summary>
    RemoveDirectory,

    /// <summary>A file is created.</summary>
    CreateFile,

    /// <summary>A file is replaced by one with other content, owner or mode.</summary>
    ReplaceFile,

    /// <summary>A file is removed.</summary>
    RemoveFile,

    /// <summary>systemd reads its unit files again.</summary>
    ReloadManager,

    /// <summary>A unit is enabled: it starts with the machine.</summary>
    EnableUnit,

    /// <summary>A unit is disabled.</summary>
    DisableUnit,

    /// <summary>A unit is started.</summary>
    StartUnit,

    /// <summary>A unit is restarted.</summary>
    RestartUnit,

    /// <summary>A unit is stopped.</summary>
    StopUnit,

    /// <summary>A process is ended.</summary>
    EndProcess,
}

/// <summary>One change that a plan makes.</summary>
/// <param name="Kind">What it does.</param>
/// <param name="Target">To what: a path, a unit, a group.</param>
/// <param name="Description">The change in a few words, for a person.</param>
/// <param name="Difference">For a file, what changes in it as a unified diff; else null.</param>
public sealed record PlannedChange(ChangeKind Kind, string Target, string Description, string? Difference = null)
{
    /// <inheritdoc/>
    public override string ToString() => Description;
}
