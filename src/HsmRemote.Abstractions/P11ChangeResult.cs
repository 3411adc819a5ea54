namespace HsmRemote;

/// <summary>What a cmdlet changed. It binds to -Name of the next one.</summary>
public class P11ChangeResult
{
    /// <summary>The instance.</summary>
    public required string Name { get; init; }

    /// <summary>Whether anything was changed or, with -WhatIf, would be.</summary>
    public required bool Changed { get; init; }

    /// <summary>What was changed, in the order in which it was done. Empty when nothing had to be.</summary>
    public required IReadOnlyList<PlannedChange> Changes { get; init; }

    /// <summary>Whether this is only what would be done (-WhatIf): nothing was changed.</summary>
    public required bool WhatIf { get; init; }
}
