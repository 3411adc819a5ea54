using System.Globalization;
using HsmRemote.Services.Native;

namespace HsmRemote.Services.Plan;

/// <summary>A group is created by systemd-sysusers(8), as its sysusers.d file asks for it.</summary>
sealed class CreateGroupStep(string group, uint? id, string sysusersPath)
    : PlanStep(new PlannedChange(ChangeKind.CreateGroup, group, $"Create the group {group}{(id is null ? "" : $" with id {id}")}"))
{
    bool isOurs;

    internal override async Task ApplyAsync(CancellationToken cancellationToken)
    {
        // Another instance's run may have created it since the plan was made: then it is not for this one to remove.
        isOurs = Accounts.FindGroup(group) is null;
        var result = await ChildProcess.RunAsync("systemd-sysusers", [sysusersPath], cancellationToken);
        var made = Accounts.FindGroup(group);
        if (result.ExitCode != 0 || made is null)
            throw new InvalidOperationException($"systemd-sysusers ended with {result.ExitCode}: {result.Errors.Trim()}");
        if (id is not null && made.Id != id)
        {
            await UndoAsync();
            isOurs = false;
            throw new InvalidOperationException($"systemd-sysusers gave it the id {made.Id}: {result.Errors.Trim()}");
        }
    }

    internal override Task UndoAsync() => isOurs ? RemoveGroupStep.RemoveAsync(group) : Task.CompletedTask;
}

/// <summary>A group that an instance brought is removed with it.</summary>
sealed class RemoveGroupStep(Group group)
    : PlanStep(new PlannedChange(ChangeKind.RemoveGroup, group.Name, $"Remove the group {group.Name}"))
{
    internal override async Task ApplyAsync(CancellationToken cancellationToken)
    {
        // A run that was killed may have left groupdel to its work.
        if (Accounts.FindGroup(group.Name) is not null)
            await RemoveAsync(group.Name);
    }

    // By what made it, so that its entries are the same again.
    internal override Task UndoAsync() => Accounts.FindGroup(group.Name) is null
        ? RunAsync("systemd-sysusers", "--inline", $"g {group.Name} {group.Id.ToString(CultureInfo.InvariantCulture)}")
        : Task.CompletedTask;

    internal override bool IsUndoneWhenFailed => true;

    internal static Task RemoveAsync(string group) => RunAsync("groupdel", group);

    static async Task RunAsync(string program, params string[] arguments)
    {
        var result = await ChildProcess.RunAsync(program, arguments, CancellationToken.None);
        if (result.ExitCode != 0)
            throw new InvalidOperationException($"{program} ended with {result.ExitCode}: {result.Errors.Trim()}");
    }
}
