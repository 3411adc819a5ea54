using System.Text.Json;

namespace HsmRemote.Services.Containers;

/// <summary>A container as its engine describes it, as far as a socket is concerned: podman-container-inspect(1), docker-container-inspect(1).</summary>
sealed record ContainerState
{
    internal string? Image { get; init; }

    /// <summary>As it was given; empty: root.</summary>
    internal string User { get; init; } = "";

    internal IReadOnlyDictionary<string, string> Environment { get; init; } = new Dictionary<string, string>(StringComparer.Ordinal);

    internal IReadOnlyList<P11ContainerMount> Mounts { get; init; } = [];

    internal IReadOnlyList<string> Groups { get; init; } = [];

    internal IReadOnlyList<string> SecurityOptions { get; init; } = [];

    internal string? UserNamespace { get; init; }

    internal bool IsPrivileged { get; init; }

    /// <summary>The main process, as the host numbers it; 0 when it does not run.</summary>
    internal int ProcessId { get; init; }

    internal static ContainerState Of(JsonElement container)
    {
        var config = container.GetProperty("Config");
        var host = container.GetProperty("HostConfig");
        Dictionary<string, string> environment = new(StringComparer.Ordinal);
        foreach (var line in Texts(config, "Env"))
        {
            if (line.Split('=', 2) is [var name, var value])
                environment.TryAdd(name, value);
        }

        // podman keeps keep-groups as an annotation for crun.
        var keepsGroups = config.TryGetProperty("Annotations", out var annotations) && annotations.ValueKind is JsonValueKind.Object
            && annotations.TryGetProperty("run.oci.keep_original_groups", out _);
        return new ContainerState
        {
            // podman has the name beside its id, docker only in the configuration.
            Image = Text(container, "ImageName") ?? Text(config, "Image"),
            User = Text(config, "User") ?? "",
            Environment = environment,
            Mounts = [.. Items(container, "Mounts").Where(m => Text(m, "Type") is "bind" or "volume").Select(Mount)],
            Groups = keepsGroups ? ["keep-groups"] : Texts(host, "GroupAdd"),
            SecurityOptions = Texts(host, "SecurityOpt"),
            UserNamespace = Text(host, "UsernsMode") is { Length: > 0 } mode ? mode : null,
            IsPrivileged = host.TryGetProperty("Privileged", out var privileged) && privileged.ValueKind is JsonValueKind.True,
            ProcessId = container.TryGetProperty("State", out var state) && state.TryGetProperty("Pid", out var process) ? process.GetInt32() : 0,
        };
    }

    /// <summary>Where the host has what the container sees at a path; null where that is no mount of the host's.</summary>
    internal string? OnHost(string path) => Mounts
        .Where(m => string.Equals(path, m.Target, StringComparison.Ordinal) || path.StartsWith(m.Target.TrimEnd('/') + "/", StringComparison.Ordinal))
        .OrderByDescending(m => m.Target.Length)
        .Select(m => m.Source.TrimEnd('/') + path[m.Target.TrimEnd('/').Length..])
        .FirstOrDefault();

    /// <summary>Whether a path in the container is a file of the host.</summary>
    internal bool LeadsTo(string? path, string hostPath) => path is not null && string.Equals(OnHost(path), hostPath, StringComparison.Ordinal);

    static P11ContainerMount Mount(JsonElement mount) => new(
        Text(mount, "Source") ?? "", Text(mount, "Destination") ?? "", mount.TryGetProperty("RW", out var writable) && writable.ValueKind is JsonValueKind.False);

    static string? Text(JsonElement element, string name) =>
        element.TryGetProperty(name, out var value) && value.ValueKind is JsonValueKind.String ? value.GetString() : null;

    static List<string> Texts(JsonElement element, string name) =>
        [.. Items(element, name).Where(v => v.ValueKind is JsonValueKind.String).Select(v => v.GetString()!)];

    static JsonElement.ArrayEnumerator Items(JsonElement element, string name) =>
        element.TryGetProperty(name, out var value) && value.ValueKind is JsonValueKind.Array ? value.EnumerateArray() : default;
}
