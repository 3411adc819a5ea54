using HsmRemote.Services.Systemd;

namespace HsmRemote.Services.Plan;

/// <summary>systemd reads its unit files again.</summary>
sealed class ReloadManagerStep(ISystemdManager systemd)
    : PlanStep(new PlannedChange(ChangeKind.ReloadManager, "systemd", "Reload systemd's unit files"))
{
    internal override Task ApplyAsync(CancellationToken cancellationToken)
    {
        systemd.Reload();
        return Task.CompletedTask;
    }

    internal override Task SettleAsync()
    {
        systemd.Reload();
        return Task.CompletedTask;
    }
}

/// <summary>A unit is enabled.</summary>
sealed class EnableUnitStep(ISystemdManager systemd, string unit)
    : PlanStep(new PlannedChange(ChangeKind.EnableUnit, unit, $"Enable {unit}"))
{
    internal override Task ApplyAsync(CancellationToken cancellationToken)
    {
        systemd.Enable(unit);
        return Task.CompletedTask;
    }

    internal override Task UndoAsync()
    {
        systemd.Disable(unit);
        return Task.CompletedTask;
    }
}

/// <summary>A unit is disabled.</summary>
sealed class DisableUnitStep(ISystemdManager systemd, string unit)
    : PlanStep(new PlannedChange(ChangeKind.DisableUnit, unit, $"Disable {unit}"))
{
    internal override Task ApplyAsync(CancellationToken cancellationToken)
    {
        systemd.Disable(unit);
        return Task.CompletedTask;
    }

    // Enabling needs the unit's file, so it waits until that is back.
    internal override Task SettleAsync()
    {
        systemd.Enable(unit);
        return Task.CompletedTask;
    }
}

/// <summary>A unit is started.</summary>
sealed class StartUnitStep(ISystemdManager systemd, string unit)
    : PlanStep(new PlannedChange(ChangeKind.StartUnit, unit, $"Start {unit}"))
{
    internal override Task ApplyAsync(CancellationToken cancellationToken)
    {
        systemd.Start(unit, cancellationToken);
        return Task.CompletedTask;
    }

    internal override Task UndoAsync()
    {
        systemd.Stop(unit, CancellationToken.None);
        return Task.CompletedTask;
    }

    // A start that failed leaves a failed unit behind.
    internal override Task SettleAsync()
    {
        systemd.ResetFailed(unit);
        return Task.CompletedTask;
    }
}

/// <summary>A unit that runs is restarted, to take its new configuration.</summary>
sealed class RestartUnitStep(ISystemdManager systemd, string unit)
    : PlanStep(new PlannedChange(ChangeKind.RestartUnit, unit, $"Restart {unit}"))
{
    internal override Task ApplyAsync(CancellationToken cancellationToken)
    {
        systemd.Restart(unit, cancellationToken);
        return Task.CompletedTask;
    }

    internal override Task SettleAsync()
    {
        systemd.Restart(unit, CancellationToken.None);
        return Task.CompletedTask;
    }
}

/// <summary>A unit is stopped.</summary>
sealed class StopUnitStep(ISystemdManager systemd, string unit)
    : PlanStep(new PlannedChange(ChangeKind.StopUnit, unit, $"Stop {unit}"))
{
    internal override Task ApplyAsync(CancellationToken cancellationToken)
    {
        systemd.Stop(unit, cancellationToken);
        return Task.CompletedTask;
    }

    internal override Task SettleAsync()
    {
        systemd.Start(unit, CancellationToken.None);
        return Task.CompletedTask;
    }
}

/// <summary>The connections that are open end: each is an instance of the template.</summary>
sealed class StopConnectionsStep(ISystemdManager systemd, string pattern, int count)
    : PlanStep(new PlannedChange(ChangeKind.StopUnit, pattern, $"End the open connections ({pattern}: {count})"))
{
    internal override Task ApplyAsync(CancellationToken cancellationToken)
    {
        foreach (var unit in systemd.List(pattern))
            systemd.Stop(unit, cancellationToken);
        return Task.CompletedTask;
    }
}
