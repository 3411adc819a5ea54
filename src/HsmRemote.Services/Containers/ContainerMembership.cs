using System.Text.RegularExpressions;
using HsmRemote.Services.Native;

namespace HsmRemote.Services.Containers;

/// <summary>The container that a process is in.</summary>
/// <param name="Engine">What runs it: podman, docker, containerd, cri-o.</param>
/// <param name="Id">Its id.</param>
/// <param name="Name">Its name; null when the host's processes do not tell.</param>
sealed partial record ContainerMembership(string Engine, string Id, string? Name)
{
    const int MaxAncestors = 64;

    /// <summary>The container of a process; null outside of one.</summary>
    internal static ContainerMembership? Of(int process)
    {
        // The kernel keeps 15 characters of a name.
        var ancestors = Ancestors(process).Select(ancestor => (Process: ancestor, Name: ProcessView.CommandName(ancestor))).ToList();
        return Of("conmon", OfConmon) ?? OfControlGroup(ProcessView.ControlGroups(process)) ?? Of("containerd-shim", OfDockerShim);

        ContainerMembership? Of(string name, Func<string[], ContainerMembership?> read) => ancestors
            .Where(ancestor => string.Equals(ancestor.Name, name, StringComparison.Ordinal))
            .Select(ancestor => read(ProcessView.CommandLine(ancestor.Process)))
            .FirstOrDefault(container => container is not null);
    }

    /// <summary>The container that a control group is named after.</summary>
    internal static ContainerMembership? OfControlGroup(string controlGroups) =>
        GroupName().Match(controlGroups) is { Success: true } match
            ? new(
                match.Groups["engine"].Value switch { "libpod" => "podman", "crio" => "cri-o", "cri-containerd" => "containerd", var engine => engine },
                match.Groups["id"].Value,
                null)
            : null;

    /// <summary>podman and cri-o leave conmon(8) above each container, whose command line has the name, of whatever user the container is.</summary>
    static ContainerMembership? OfConmon(string[] arguments) =>
        ValueOf("-c", arguments) is { } id
            ? new(ValueOf("--exit-command", arguments)?.EndsWith("podman", StringComparison.Ordinal) is true ? "podman" : "cri-o", id, ValueOf("-n", arguments))
            : null;

    /// <summary>docker leaves containerd-shim-runc-v2 above each, also where the control group has another name (--cgroup-parent) or there is none.</summary>
    static ContainerMembership? OfDockerShim(string[] arguments) =>
        ValueOf("-namespace", arguments) is "moby" && ValueOf("-id", arguments) is { } id ? new("docker", id, null) : null;

    /// <summary>A process and those above it, up to the first.</summary>
    static IEnumerable<int> Ancestors(int process)
    {
        int? at = process;
        for (var i = 0; i < MaxAncestors && at is > 1; i++, at = ProcessView.Parent(at.Value))
            yield return at.Value;
    }

    static string? ValueOf(string option, string[] arguments) =>
        Array.IndexOf(arguments, option) is >= 0 and var index ? arguments.ElementAtOrDefault(index + 1) : null;

    // libpod-ID.scope, docker-ID.scope, /docker/ID, cri-containerd-ID.scope, crio-ID.scope.
    [GeneratedRegex(@"/(?<engine>libpod|docker|crio|cri-containerd)[-/](?<id>[0-9a-f]{64})", RegexOptions.CultureInvariant, 1000)]
    private static partial Regex GroupName();
}
