using System.Management.Automation;
using System.Text;

namespace HsmRemote.Commands;

/// <summary>What the cmdlets share that change something: a plan is made, shown or asked about as a whole, and applied.</summary>
public abstract class ChangeCommand : HsmRemoteCommand
{
    /// <summary>Whether only what would be done is asked for.</summary>
    private protected bool IsWhatIf =>
        MyInvocation.BoundParameters.TryGetValue("WhatIf", out var given)
            ? LanguagePrimitives.IsTrue(given)
            : LanguagePrimitives.IsTrue(SessionState.PSVariable.GetValue("WhatIfPreference"));

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
        string name, Func<IReporter, CancellationToken, Task<IChangePlan>> plan, string what, P11KitServerScope? scope)
    {
        // Who only looks waits for nobody. Who is asked keeps the others waiting: the answer is to what was shown.
        using var held = IsWhatIf ? null : Await((reporter, cancellation) => Services.Servers.LockAsync(name, scope, reporter, cancellation), leave: false);
        Carry(Await(plan), what);
    }

    /// <summary>Makes a plan come true, unless -WhatIf or an answer says no, and writes what came of it.</summary>
    private protected void Carry(IChangePlan plan, string what)
    {
        using (plan)
        {
            var isWhatIf = IsWhatIf;
            if (plan.Changes.Count == 0)
                WriteVerbose($"{what}: nothing to do.");
            // One question for the whole plan, and one list of what it would change.
            else if (ShouldProcess(
                isWhatIf ? Describe(plan, what, withDifferences: true) : $"{what}: changes: {plan.Changes.Count}",
                $"{Describe(plan, what, withDifferences: false)}\nGo on?", "Confirm"))
            {
                Await<object?>(
                    async (reporter, cancellation) =>
                    {
                        await plan.ApplyAsync(reporter, cancellation);
                        return null;
                    },
                    leave: false);
            }
            else if (!isWhatIf)
                return;

            WriteObject(Result(plan, isWhatIf));
        }
    }

    /// <summary>What came of a plan that was carried out or, with -WhatIf, shown.</summary>
    private protected virtual P11ChangeResult Result(IChangePlan plan, bool isWhatIf) => new()
    {
        Name = plan.Name,
        Changed = plan.Changes.Count > 0,
        Changes = plan.Changes,
        WhatIf = isWhatIf,
    };

    static string Describe(IChangePlan plan, string what, bool withDifferences)
    {
        var text = new StringBuilder($"{what}:");
        foreach (var change in plan.Changes)
        {
            text.Append("\n  ").Append(change.Description);
            if (withDifferences && change.Difference is { } difference)
            {
                foreach (var line in difference.Split('\n'))
                    text.Append("\n      ").Append(line);
            }
        }

        return text.ToString();
    }
}
