using System.Text.Json;
using HsmRemote.Services.Native;

namespace HsmRemote.Services.Containers;

/// <summary>What an engine is like, as far as a socket is concerned.</summary>
/// <param name="Program">podman or docker, or null: neither was asked, or is meant.</param>
/// <param name="Rootless">Whether it runs without root, so that the container's root is the host's user.</param>
/// <param name="UserNamespace">The user namespace that it puts containers in; null or <c>host</c>: none of its own.</param>
/// <param name="SecurityModule">What confines containers.</param>
/// <param name="Runtime">The OCI runtime, or null when it is not known.</param>
/// <param name="Owner">Who runs it, on this host; null: not known, or root.</param>
sealed record EngineFacts(
    string? Program, bool Rootless, string? UserNamespace = null, P11SecurityModule SecurityModule = P11SecurityModule.None,
    string? Runtime = null, EngineOwner? Owner = null)
{
    internal bool HasUserNamespace => UserNamespace is not (null or "" or "host");

    /// <summary>What was said in a request, and for the rest, what the engine of this host says.</summary>
    internal static async Task<EngineFacts> DetectAsync(P11ContainerRequest request, IReporter reporter, CancellationToken cancellationToken)
    {
        using var step = new Step(reporter, "Ask this host for its container engine");
        var facts = request.Engine switch
        {
            P11ContainerEngine.Podman or P11ContainerEngine.Quadlet => await AskPodmanAsync(cancellationToken) ?? OfThisHost("podman"),
            P11ContainerEngine.Docker => await AskDockerAsync(cancellationToken) ?? OfThisHost("docker"),
            P11ContainerEngine.Compose => await AskDockerAsync(cancellationToken) ?? await AskPodmanAsync(cancellationToken) ?? OfThisHost("docker"),
            _ => OfThisHost(null),
        };
        facts = facts with
        {
            Rootless = request.Rootless ?? facts.Rootless,
            UserNamespace = request.UserNamespace ?? facts.UserNamespace,
            SecurityModule = request.SecurityModule ?? facts.SecurityModule,
            Runtime = request.Runtime ?? facts.Runtime,
        };
        if (facts is { Program: "podman", Rootless: false, UserNamespace: null } && PodmanConfiguration.UserNamespace(request.Engine is not P11ContainerEngine.Quadlet) is not (null or "" or "host") and var configured)
            facts = facts with { UserNamespace = configured };
        if (facts.Rootless)
            facts = facts with { Owner = EngineOwner.Caller() };
        step.Outcome =
            $"{facts.Program ?? "not of this host"}, {(facts.Rootless ? "rootless" : "as root")}, "
            + $"user namespace: {facts.UserNamespace ?? "none"}, confined by: {facts.SecurityModule}, runtime: {facts.Runtime ?? "not known"}";
        return facts;
    }

    // What no engine was asked for: taken from the kernel.
    static EngineFacts OfThisHost(string? program) => new(program, Rootless: false, SecurityModule:
        File.Exists("/sys/fs/selinux/enforce") ? P11SecurityModule.SELinux
        : File.Exists("/sys/module/apparmor/parameters/enabled") && File.ReadAllText("/sys/module/apparmor/parameters/enabled").StartsWith('Y') ? P11SecurityModule.AppArmor
        : P11SecurityModule.None);

    static async Task<EngineFacts?> AskPodmanAsync(CancellationToken cancellationToken) =>
        await ContainerEngine.TryAskAsync("podman", ["info", "--format", "json"], cancellationToken) is { } json ? OfPodman(json) : null;

    static async Task<EngineFacts?> AskDockerAsync(CancellationToken cancellationToken) =>
        await ContainerEngine.TryAskAsync("docker", ["info", "--format", "{{json .}}"], cancellationToken) is { } json ? OfDocker(json) : null;

    /// <summary>Reads the answer of <c>podman info --format json</c>.</summary>
    internal static EngineFacts OfPodman(JsonElement info)
    {
        // One whose runtime is broken still answers, with less.
        var host = Part(info, "host");
        var security = Part(host, "security");
        return new EngineFacts("podman", Is(security, "rootless"), SecurityModule:
            Is(security, "selinuxEnabled") ? P11SecurityModule.SELinux
            : Is(security, "apparmorEnabled") ? P11SecurityModule.AppArmor
            : P11SecurityModule.None, Runtime: Part(Part(host, "ociRuntime"), "name") is { ValueKind: JsonValueKind.String } runtime ? runtime.GetString() : null);

        static JsonElement Part(JsonElement of, string name) => of.ValueKind is JsonValueKind.Object && of.TryGetProperty(name, out var part) ? part : default;

        static bool Is(JsonElement of, string name) => Part(of, name).ValueKind is JsonValueKind.True;
    }

    /// <summary>Reads the answer of <c>docker info --format '{{json .}}'</c>; null when its daemon did not answer.</summary>
    internal static EngineFacts? OfDocker(JsonElement info)
    {
        // Without a daemon it still answers, with what the client knows.
        if (!info.TryGetProperty("SecurityOptions", out var options) || options.ValueKind is not JsonValueKind.Array)
            return null;
        // name=seccomp,profile=default
        var names = options.EnumerateArray().Select(option => option.GetString()!.Split(',')[0]).ToHashSet(StringComparer.Ordinal);
        return new EngineFacts(
            "docker", names.Contains("name=rootless"), names.Contains("name=userns") ? "remap" : null,
            names.Contains("name=selinux") ? P11SecurityModule.SELinux : names.Contains("name=apparmor") ? P11SecurityModule.AppArmor : P11SecurityModule.None,
            info.TryGetProperty("DefaultRuntime", out var runtime) ? runtime.GetString() : null);
    }
}

/// <summary>The user who runs a rootless engine.</summary>
sealed record EngineOwner(string Name, uint UserId, uint GroupId, IReadOnlyList<uint> Groups)
{
    /// <summary>The caller; null when that is root, who runs no rootless engine.</summary>
    internal static EngineOwner? Caller() =>
        Accounts.geteuid() is var id and not 0
            ? new EngineOwner(Accounts.FindUser(id)?.Name ?? $"{id}", id, Accounts.getegid(), [Accounts.getegid(), .. Accounts.OwnGroups()])
            : null;
}
