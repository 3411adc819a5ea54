using HsmRemote.Services.Systemd;

namespace HsmRemote.Services.Plan;

/// <summary>Something that systemd's manager does with a unit.</summary>
sealed class UnitStep : PlanStep
{
    readonly Action<CancellationToken> apply;
    readonly Action? undo;
    readonly Action? settle;
    bool settlesAlways;

    UnitStep(PlannedChange change, Action<CancellationToken> apply, Action? undo = null, Action? settle = null)
        : base(change)
    {
        this.apply = apply;
        this.undo = undo;
        this.settle = settle;
    }

    internal static UnitStep Reload(ISystemdManager systemd) => new(
        new PlannedChange(ChangeKind.ReloadManager, "systemd", "Reload systemd's unit files"),
        _ => systemd.Reload(),
        settle: systemd.Reload)
    {
        // A unit's file that was put back is a newer one.
        settlesAlways = true,
    };

    internal static UnitStep Enable(ISystemdManager systemd, string unit) => new(
        new PlannedChange(ChangeKind.EnableUnit, unit, $"Enable {unit}"),
        _ => systemd.Enable(unit),
        undo: () => systemd.Disable(unit));

    // Enabling needs the unit's file, so the way back waits until that is there again.
    internal static UnitStep Disable(ISystemdManager systemd, string unit) => new(
        new PlannedChange(ChangeKind.DisableUnit, unit, $"Disable {unit}"),
        _ => systemd.Disable(unit),
        settle: () => systemd.Enable(unit));

    // A start that failed leaves a failed unit behind.
    internal static UnitStep Start(ISystemdManager systemd, string unit) => new(
        new PlannedChange(ChangeKind.StartUnit, unit, $"Start {unit}"),
        cancellation => systemd.Start(unit, cancellation),
        undo: () => systemd.Stop(unit, CancellationToken.None),
        settle: () => systemd.ResetFailed(unit));

    internal static UnitStep Restart(ISystemdManager systemd, string unit) => new(
        new PlannedChange(ChangeKind.RestartUnit, unit, $"Restart {unit}"),
        cancellation => systemd.Restart(unit, cancellation),
        settle: () => systemd.Restart(unit, CancellationToken.None));

    /// <param name="systemd">Its systemd.</param>
    /// <param name="unit">The unit.</param>
    /// <param name="returns">Whether it is started on the way back: not what its socket starts, and what would keep the socket from it.</param>
    internal static UnitStep Stop(ISystemdManager systemd, string unit, bool returns = true) => new(
        new PlannedChange(ChangeKind.StopUnit, unit, $"Stop {unit}"),
        cancellation =>
        {
            systemd.Stop(unit, cancellation);
            // p11-kit server ends with a failure when it is told to end, which is none; and one that ended badly stays in memory
            // otherwise, even without its file.
            systemd.ResetFailed(unit);
        },
        settle: returns ? () => systemd.Start(unit, CancellationToken.None) : null);

    /// <summary>The connections that are open end: each is an instance of the template. There is no way back for them.</summary>
    internal static UnitStep StopConnections(ISystemdManager systemd, string pattern, int count) => new(
        new PlannedChange(ChangeKind.StopUnit, pattern, $"End the open connections ({pattern}: {count})"),
        cancellation =>
        {
            foreach (var unit in systemd.List(pattern))
                systemd.Stop(unit, cancellation);
        });

    /// <summary>One connection ends, by the unit that systemd made for it. There is no way back for it.</summary>
    internal static UnitStep StopConnection(ISystemdManager systemd, string unit, string who) => new(
        new PlannedChange(ChangeKind.StopUnit, unit, $"End the connection of {who} ({unit})"),
        cancellation => systemd.Stop(unit, cancellation));

    internal override bool SettlesAlways => settlesAlways;

    internal override Task ApplyAsync(CancellationToken cancellationToken)
    {
        apply(cancellationToken);
        return Task.CompletedTask;
    }

    internal override Task UndoAsync()
    {
        undo?.Invoke();
        return Task.CompletedTask;
    }

    internal override Task SettleAsync()
    {
        settle?.Invoke();
        return Task.CompletedTask;
    }
}
