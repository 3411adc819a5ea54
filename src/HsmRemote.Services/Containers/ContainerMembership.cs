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
    internal static ContainerMembership? Of(int process) => OfMonitor(process) ?? OfControlGroup(ProcessView.ControlGroups(process));

    /// <summary>The container that a control group is named after.</summary>
    internal static ContainerMembership? OfControlGroup(string controlGroups) =>
        GroupName().Match(controlGroups) is { Success: true } match
            ? new(
                match.Groups["engine"].Value switch { "libpod" => "podman", "crio" => "cri-o", "cri-containerd" => "containerd", var engine => engine },
                match.Groups["id"].Value,
                null)
            : null;

    /// <summary>podman and cri-o leave conmon(8) above each container, whose command line has the name, of whatever user the container is.</summary>
    static ContainerMembership? OfMonitor(int process)
    {
        int? at = process;
        for (var i = 0; i < MaxAncestors && at is > 1; i++)
        {
            if (ProcessView.CommandName(at.Value) is "conmon")
            {
                var arguments = ProcessView.CommandLine(at.Value);
                return Value("-c") is { } id ? new(Value("--exit-command")?.EndsWith("podman", StringComparison.Ordinal) is true ? "podman" : "cri-o", id, Value("-n")) : null;

                string? Value(string option) => Array.IndexOf(arguments, option) is >= 0 and var index ? arguments.ElementAtOrDefault(index + 1) : null;
            }

            at = ProcessView.Parent(at.Value);
        }

        return null;
    }

    // libpod-ID.scope, docker-ID.scope, /docker/ID, cri-containerd-ID.scope, crio-ID.scope.
    [GeneratedRegex(@"/(?<engine>libpod|docker|crio|cri-containerd)[-/](?<id>[0-9a-f]{64})", RegexOptions.CultureInvariant, 1000)]
    private static partial Regex GroupName();
}
