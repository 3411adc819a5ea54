using System.Globalization;
using HsmRemote.Services.Native;
using HsmRemote.Services.Plan;
using HsmRemote.Services.Systemd;

namespace HsmRemote.Services.Server;

/// <summary>The group that came with an instance, as its sysusers.d file remembers.</summary>
static class InstanceGroup
{
    /// <summary>What tells our file from another's.</summary>
    internal const string Mark = "# Written by HsmRemote";

    /// <summary>The sysusers.d(5) file that asks for a group.</summary>
    internal static string SysusersFile(string instance, string group, uint? id) =>
        $"{Mark}: the group came with the instance {instance}, and goes with it.\n"
        + $"g {group} {id?.ToString() ?? "-"}\n";

    /// <summary>The group's name, or null when the instance brought none.</summary>
    internal static string? Owned(InstanceLayout layout) => Read(layout)?.Name;

    /// <summary>The number that was asked for when an instance brought a group; null: none was, or it brought another group.</summary>
    internal static uint? IdOf(InstanceLayout layout, string group) =>
        Read(layout) is { } owned && string.Equals(owned.Name, group, StringComparison.Ordinal) && uint.TryParse(owned.Id, NumberStyles.None, CultureInfo.InvariantCulture, out var id) ? id : null;

    /// <summary>The groups that a run on an instance may create, remove or hand on, but for root's, which always is.</summary>
    /// <param name="layout">The instance.</param>
    /// <param name="wanted">The group that it is to have, where that is given.</param>
    internal static IEnumerable<string> Concerned(InstanceLayout layout, string? wanted) =>
        new[] { wanted, Owned(layout), UnitFile.ValueOf(layout.SocketUnitPath, "SocketGroup"), UnitFile.ValueOf(layout.UnitPath(layout.Service), "SocketGroup") }
            .OfType<string>().Where(group => group is not ("" or "root"));

    /// <summary>The group that is asked for; null: none is.</summary>
    internal static string? Given(string? group, uint? id, string instance) => group ?? (id is { } number ? Accounts.FindGroup(number)?.Name ?? instance : null);

    static (string Name, string Id)? Read(InstanceLayout layout) =>
        File.Exists(layout.SysusersPath) && File.ReadLines(layout.SysusersPath).Select(line => line.Split(' ')).FirstOrDefault(words => words is ["g", _, _]) is [_, var name, var id]
            ? (name, id) : null;

    /// <summary>What becomes of the group when the instance has no use for it: it goes, or another instance inherits it, or it stays.</summary>
    /// <param name="systemd">The systemd of the machine.</param>
    /// <param name="layout">The instance.</param>
    /// <param name="name">The group.</param>
    /// <param name="reporter">Told why it stays.</param>
    /// <param name="successor">What the instance is from now on, when it gets another name.</param>
    internal static PlanStep? Release(ISystemdManager systemd, InstanceLayout layout, string name, IReporter reporter, InstanceState? successor = null)
    {
        if (Accounts.FindGroup(name) is not { } group)
            return null;
        if (string.Equals(successor?.Group, name, StringComparison.Ordinal))
            return InstallPlanner.Ensure(successor!.Layout.SysusersPath, SysusersFile(successor.Layout.Name, name, group.Id), layout.Scope);
        var heir = ServerInventory.List(systemd, reporter).FirstOrDefault(s =>
            s.IsManaged && string.Equals(s.Group, name, StringComparison.Ordinal) && !string.Equals(s.Name, layout.Name, StringComparison.Ordinal));
        if (heir is not null)
        {
            var path = new InstanceLayout(heir.Name).SysusersPath;
            return new WriteFileStep(path, AtomicFile.Read(path), FileImage.Ours(SysusersFile(heir.Name, name, group.Id)));
        }

        var users = group.Members.Concat(PrimaryUsers(group.Id)).Distinct(StringComparer.Ordinal).ToList();
        if (users.Count == 0)
            return new RemoveGroupStep(group);
        reporter.Warning($"The group {name} stays: it is used by {string.Join(", ", users)}.");
        return null;
    }

    // groupdel refuses a group that is somebody's primary one, so this asks first. Only local users can have a local group so.
    static IEnumerable<string> PrimaryUsers(uint id) =>
        File.ReadLines("/etc/passwd").Select(line => line.Split(':')).Where(f => f.Length > 3 && string.Equals(f[3], id.ToString(), StringComparison.Ordinal)).Select(f => f[0]);
}
