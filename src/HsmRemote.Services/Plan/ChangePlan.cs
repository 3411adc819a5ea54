namespace HsmRemote.Services.Plan;

/// <summary>One change that can be made and taken back.</summary>
abstract class PlanStep(PlannedChange change)
{
    internal PlannedChange Change { get; } = change;

    /// <summary>Whether there is no way back, by intention: what it did stays when a later step fails.</summary>
    internal virtual bool Stays => false;

    /// <summary>Whether it is taken back also when it failed itself, since that may be halfway. Its way back then bears that.</summary>
    internal virtual bool IsUndoneWhenFailed => false;

    /// <summary>Whether it settles although its turn had not come.</summary>
    internal virtual bool SettlesAlways => false;

    /// <summary>Makes the change.</summary>
    internal abstract Task ApplyAsync(CancellationToken cancellationToken);

    /// <summary>Takes back what <see cref="ApplyAsync"/> did. Called for steps that were made, the last one first.</summary>
    internal virtual Task UndoAsync() => Task.CompletedTask;

    /// <summary>
    /// Brings what runs back in line with the files, once these are as they were. Called the last one first, also for the step
    /// that failed: a restart that failed has stopped something.
    /// </summary>
    internal virtual Task SettleAsync() => Task.CompletedTask;
}

/// <summary>The changes that lead from what is there to what is wanted.</summary>
sealed class ChangePlan(string name, IReadOnlyList<PlanStep> steps, IDisposable systemd) : IChangePlan
{
    public string Name { get; } = name;

    public IReadOnlyList<PlannedChange> Changes { get; } = [.. steps.Select(s => s.Change)];

    public async Task ApplyAsync(IReporter reporter, CancellationToken cancellationToken)
    {
        for (var i = 0; i < steps.Count; i++)
        {
            var change = steps[i].Change;
            try
            {
                cancellationToken.ThrowIfCancellationRequested();
                using var step = new Step(reporter, change.Description) { Outcome = "failed" };
                await steps[i].ApplyAsync(cancellationToken);
                step.Outcome = null;
            }
            catch (Exception e)
            {
                var notUndone = await UndoAsync(i, reporter);
                if (e is OperationCanceledException)
                    throw;
                var known = e as HsmRemoteException;
                throw new HsmRemoteException(
                    "ChangeFailed", known?.Kind ?? FailureKind.InvalidOperation,
                    $"Step {i + 1} of {steps.Count} for '{Name}' failed: {Lower(change.Description)}: {(known?.Failure ?? e.Message).TrimEnd('.')}. "
                    + Outcome(i == 0, [.. steps.Take(i).Where(s => s.Stays).Select(s => Lower(s.Change.Description))], notUndone),
                    known?.Remedy ?? "Mend the cause and run the command again.", change.Target, e);
            }
        }
    }

    /// <summary>Goes back to where the plan began, and says what could not be undone.</summary>
    async Task<List<string>> UndoAsync(int failed, IReporter reporter)
    {
        List<string> failures = [];
        using var undoing = new Step(reporter, "Undo what was changed");
        foreach (var step in steps.Take(steps[failed].IsUndoneWhenFailed ? failed + 1 : failed).Reverse())
            await TryAsync(step, step.UndoAsync);
        foreach (var step in steps.Where((s, i) => i <= failed || s.SettlesAlways).Reverse())
            await TryAsync(step, step.SettleAsync);
        undoing.Outcome = $"{failures.Count} failures";
        return failures;

        async Task TryAsync(PlanStep step, Func<Task> undo)
        {
            try
            {
                await undo();
            }
            catch (Exception e)
            {
                failures.Add($"{Lower(step.Change.Description)} ({e.Message})");
            }
        }
    }

    public void Dispose() => systemd.Dispose();

    static string Outcome(bool isFirst, List<string> staying, List<string> notUndone) =>
        notUndone.Count > 0 ? $"Not all could be undone; still changed: {string.Join("; ", staying.Concat(notUndone))}."
        : isFirst ? "It was the first: nothing has changed."
        : staying.Count > 0 ? $"The steps before it were undone, except: {string.Join("; ", staying)}. Nothing else has changed."
        : "The steps before it were undone: nothing has changed.";

    static string Lower(string sentence) => char.ToLowerInvariant(sentence[0]) + sentence[1..];
}
