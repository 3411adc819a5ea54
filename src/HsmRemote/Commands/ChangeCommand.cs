using System.Diagnostics;
using System.Management.Automation;
using System.Reflection;
using System.Text;

namespace HsmRemote.Commands;

/// <summary>What the cmdlets share that change something: a plan is made, shown or asked about as a whole, and applied.</summary>
public abstract class ChangeCommand : HsmRemoteCommand
{
    readonly List<Change> asked = [];

    bool IsWhatIf =>
        MyInvocation.BoundParameters.TryGetValue("WhatIf", out var given)
            ? LanguagePrimitives.IsTrue(given)
            : LanguagePrimitives.IsTrue(SessionState.PSVariable.GetValue("WhatIfPreference"));

    /// <summary>Whether there will be a question, as ShouldProcess decides it: -Confirm, or $ConfirmPreference at or below the command's own impact.</summary>
    bool IsAsked =>
        MyInvocation.BoundParameters.TryGetValue("Confirm", out var given)
            ? LanguagePrimitives.IsTrue(given)
            : LanguagePrimitives.TryConvertTo<ConfirmImpact>(SessionState.PSVariable.GetValue("ConfirmPreference"), out var preference)
                && preference != ConfirmImpact.None && preference <= GetType().GetCustomAttribute<CmdletAttribute>()!.ConfirmImpact;

    /// <summary>Whether what it changes is the host's. False also where that depends on the instance, so that root is asked for by RequireRights.</summary>
    private protected virtual bool NeedsRoot => true;

    /// <summary>Fails unless the caller may change the instance. What would be done can be asked by anyone.</summary>
    private protected void RequireRights(string name, P11KitServerScope? scope)
    {
        if (!IsWhatIf)
            Services.Servers.RequireRights(name, scope);
    }

    /// <summary>Without root, says so before anything else. What would be done can be asked by anyone.</summary>
    protected override void BeginProcessing()
    {
        if (IsWhatIf || !NeedsRoot)
            return;
        try
        {
            Services.Servers.RequireRoot();
        }
        catch (HsmRemoteException e)
        {
            ThrowTerminatingError(ToErrorRecord(e));
        }
    }

    /// <summary>Plans what concerns an instance, and carries it out, while other runs on the same instance wait.</summary>
    /// <param name="name">The instance.</param>
    /// <param name="plan">Makes the plan.</param>
    /// <param name="what">What it is for, as a title.</param>
    /// <param name="scope">Whose the instance is; null: the one that there is.</param>
    private protected void Carry(
        string name, Func<IReporter, CancellationToken, Task<IChangePlan>> plan, string what, P11KitServerScope? scope) => Carry([name], plan, what, scope);

    /// <summary>The same for what concerns several instances at once.</summary>
    private protected void Carry(
        IReadOnlyList<string> names, Func<IReporter, CancellationToken, Task<IChangePlan>> plan, string what, P11KitServerScope? scope) =>
        Carry(new Change(what, plan, [.. names.Select(name => new Instance(name, scope))]));

    /// <summary>Plans what concerns no instance, and carries it out.</summary>
    /// <param name="plan">Makes the plan.</param>
    /// <param name="what">What it is for, as a title.</param>
    private protected void Carry(Func<IReporter, CancellationToken, Task<IChangePlan>> plan, string what) => Carry(new Change(what, plan, []));

    /// <summary>Who overrides it calls it last: a question is about all that came through the pipeline.</summary>
    protected override void EndProcessing()
    {
        if (asked.Count > 0)
            AskAndCarry();
    }

    void Carry(Change change)
    {
        if (IsAsked && !IsWhatIf)
        {
            asked.Add(change);
            return;
        }

        // Who only looks waits for nobody.
        List<IDisposable> held = [];
        try
        {
            if (!IsWhatIf && change.Instances.Count > 0)
                Lock(InOrder(change.Instances), held);
            using var plan = Plan(change);
            if (plan.Changes.Count > 0)
            {
                if (ShouldProcess(IsWhatIf ? Show(plan, change.What) : $"{change.What}: changes: {plan.Changes.Count}", $"{Describe(plan, change.What)}\nGo on?", "Confirm"))
                    Apply(plan);
                else if (!IsWhatIf)
                    return;
            }

            WriteObject(Result(plan, IsWhatIf));
        }
        finally
        {
            held.ForEach(taken => taken.Dispose());
        }
    }

    /// <summary>Plans all that came, asks once, and carries it out. Other runs wait until it is answered: the answer is to what was shown.</summary>
    void AskAndCarry()
    {
        List<IDisposable> held = [];
        List<(Change Change, IChangePlan Plan)> planned = [];
        try
        {
            Lock(InOrder(asked.SelectMany(change => change.Instances)), held);
            foreach (var change in asked)
                Attempt(() => planned.Add((change, Plan(change))));

            var wanted = planned.Where(p => p.Plan.Changes.Count > 0).ToList();
            var isAgreed = wanted.Count > 0 && ShouldProcess(
                $"{string.Join("; ", wanted.Select(p => p.Change.What))}: changes: {wanted.Sum(p => p.Plan.Changes.Count)}",
                $"{string.Join('\n', wanted.Select(p => Describe(p.Plan, p.Change.What)))}\nGo on?", "Confirm");
            var isFirst = true;
            foreach (var (change, plan) in planned)
            {
                if (plan.Changes.Count == 0)
                    WriteObject(Result(plan, isWhatIf: false));
                else if (isAgreed)
                {
                    // What one has changed may leave less, or more, for the next: a group that both have is made once, and goes with the last.
                    Attempt(() => ApplyAsked(change, plan, again: !isFirst));
                    isFirst = false;
                }
            }
        }
        catch (HsmRemoteException e)
        {
            // Nothing is asked, and nothing changed, when one of them is busy.
            WriteError(ToErrorRecord(e));
        }
        finally
        {
            foreach (var (_, plan) in planned)
                plan.Dispose();
            held.ForEach(taken => taken.Dispose());
        }
    }

    /// <summary>Instances, each once, in one order: or two runs could wait for each other, and one for itself.</summary>
    static IEnumerable<Instance> InOrder(IEnumerable<Instance> instances) =>
        instances.Distinct()
            .GroupBy(instance => instance.Name, StringComparer.Ordinal)
            .OrderBy(same => same.Key, StringComparer.Ordinal)
            // Where it was said whose it is, that is the one that is meant by the name alone, too.
            .SelectMany(same => same.Any(one => one.Scope is not null) ? same.Where(one => one.Scope is not null).OrderBy(one => one.Scope) : same.Take(1));

    void ApplyAsked(Change change, IChangePlan plan, bool again)
    {
        using var renewed = again ? Plan(change) : null;
        Apply(renewed ?? plan);
        WriteObject(Result(renewed ?? plan, isWhatIf: false));
    }

    IChangePlan Plan(Change change) => Await(async (reporter, cancellation) =>
    {
        const string Step = "Compare what is there with what is wanted";
        var started = Stopwatch.GetTimestamp();
        reporter.Started(Step);
        var outcome = "failed";
        try
        {
            var plan = await change.Plan(reporter, cancellation);
            outcome = $"changes: {plan.Changes.Count}";
            return plan;
        }
        finally
        {
            reporter.Ended(Step, outcome, Stopwatch.GetElapsedTime(started));
        }
    });

    /// <summary>Keeps other runs from instances, and from what they share.</summary>
    void Lock(IEnumerable<Instance> instances, List<IDisposable> held)
    {
        List<string> names = [];
        foreach (var instance in instances)
        {
            held.Add(Await((reporter, cancellation) => LockAsync(instance.Name, instance.Scope, reporter, cancellation), leave: false));
            names.Add(instance.Name);
        }

        held.AddRange(Await((reporter, cancellation) => LockSharedAsync(names, reporter, cancellation), leave: false));
    }

    /// <summary>Keeps other runs on an instance waiting, or waits for them.</summary>
    private protected virtual Task<IDisposable> LockAsync(string name, P11KitServerScope? scope, IReporter reporter, CancellationToken cancellationToken) =>
        Services.Servers.LockAsync(name, scope, reporter, cancellationToken);

    /// <summary>The same for what the instances share with others, where a run may change that.</summary>
    private protected virtual Task<IReadOnlyList<IDisposable>> LockSharedAsync(IReadOnlyList<string> names, IReporter reporter, CancellationToken cancellationToken) =>
        Task.FromResult<IReadOnlyList<IDisposable>>([]);

    void Apply(IChangePlan plan) => Await<object?>(
        async (reporter, cancellation) =>
        {
            await plan.ApplyAsync(reporter, cancellation);
            return null;
        },
        leave: false);

    /// <summary>What came of a plan that was carried out or, with -WhatIf, shown.</summary>
    private protected virtual P11ChangeResult Result(IChangePlan plan, bool isWhatIf) => new()
    {
        Name = plan.Name,
        Changed = plan.Changes.Count > 0,
        Changes = plan.Changes,
        WhatIf = isWhatIf,
    };

    /// <summary>A plan in words: what it is for, and each change in a line.</summary>
    static string Describe(IChangePlan plan, string what) => $"{what}:{string.Concat(plan.Changes.Select(change => $"\n  {change.Description}"))}";

    /// <summary>A plan with what becomes of the files, in colour where the host has colour.</summary>
    string Show(IChangePlan plan, string what)
    {
        var text = new StringBuilder($"{what}:");
        foreach (var change in plan.Changes)
        {
            Append("  ", change.Description, Colour(change.Kind));
            foreach (var line in change.Difference?.Split('\n') ?? [])
                Append("      ", line, line is ['+', ..] ? Green : line is ['-', ..] ? Red : line is ['@', ..] ? Cyan : "");
        }

        return text.ToString();

        void Append(string indent, string line, string colour) =>
            text.Append('\n').Append(indent).Append(Host.UI.SupportsVirtualTerminal && colour.Length > 0 ? $"{colour}{line}{Reset}" : line);
    }

    // As $PSStyle has them, which those that compile for older versions than 7.2 do not see.
    const string Red = "\e[31m", Green = "\e[32m", Yellow = "\e[33m", Cyan = "\e[36m", Reset = "\e[0m";

    /// <summary>Green for what comes, red for what goes, yellow for what becomes another.</summary>
    static string Colour(ChangeKind kind) => kind switch
    {
        ChangeKind.RemoveDirectory or ChangeKind.RemoveFile or ChangeKind.RemoveGroup or ChangeKind.DisableUnit or ChangeKind.StopUnit or ChangeKind.EndProcess => Red,
        ChangeKind.ReplaceFile or ChangeKind.ReloadManager or ChangeKind.RestartUnit => Yellow,
        _ => Green,
    };

    /// <summary>An instance, for its lock.</summary>
    readonly record struct Instance(string Name, P11KitServerScope? Scope);

    /// <summary>Something to be changed, and how its plan is made.</summary>
    sealed record Change(string What, Func<IReporter, CancellationToken, Task<IChangePlan>> Plan, IReadOnlyList<Instance> Instances);
}
