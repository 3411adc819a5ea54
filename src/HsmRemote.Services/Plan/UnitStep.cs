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

    internal static UnitStep Stop(ISystemdManager systemd, string unit) => new(
        new PlannedChange(ChangeKind.StopUnit, unit, $"Stop {unit}"),
        cancellation => systemd.Stop(unit, cancellation),
        settle: () => systemd.Start(unit, CancellationToken.None));

    /// <summary>The connections that are open end: each is an instance of the template. There is no way back for them.</summary>
    internal static UnitStep StopConnections(ISystemdManager systemd, string pattern, int count) => new(
        new PlannedChange(ChangeKind.StopUnit, pattern, $"End the open connections ({pattern}: {count})"),
        cancellation =>
        {
            foreach (var unit in systemd.List(pattern))
                systemd.Stop(unit, cancellation);
        });

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
