using System.Globalization;
using System.Text.Json;
using HsmRemote.Services.Native;

namespace HsmRemote.Services.Containers;

/// <summary>The engines of this host, podman and docker, asked through their own programs: their configuration holds as it does for the administrator.</summary>
static class ContainerEngine
{
    // A name is good to have, and not worth waiting for.
    static readonly TimeSpan Patience = TimeSpan.FromSeconds(2);

    static readonly string[] Programs = ["podman", "docker"];

    /// <summary>The main process of a container.</summary>
    /// <exception cref="HsmRemoteException">No engine has it, or it does not run.</exception>
    internal static async Task<int> MainProcessAsync(string container, CancellationToken cancellationToken)
    {
        var (program, output) = await InspectAsync(container, "{{.State.Pid}}", takesProcess: true, cancellationToken);
        return int.TryParse(output.Trim(), CultureInfo.InvariantCulture, out var process) && process > 0 ? process : throw NotRunning(program, container);
    }

    /// <summary>What an engine knows of a container, and which engine it is.</summary>
    /// <exception cref="HsmRemoteException">No engine has it.</exception>
    internal static async Task<(string Program, JsonElement Container)> InspectAsync(string container, CancellationToken cancellationToken)
    {
        var (program, output) = await InspectAsync(container, "{{json .}}", takesProcess: false, cancellationToken);
        using var document = JsonDocument.Parse(output);
        // podman gives a list of the one, docker the one.
        return (program, (document.RootElement.ValueKind is JsonValueKind.Array ? document.RootElement[0] : document.RootElement).Clone());
    }

    /// <summary>Asks one engine after the other.</summary>
    /// <param name="container">The container's name or id.</param>
    /// <param name="format">What of it is wanted.</param>
    /// <param name="takesProcess">Whether who asks takes -ProcessId too, as the way out.</param>
    /// <param name="cancellationToken">Ends it.</param>
    static async Task<(string Program, string Output)> InspectAsync(string container, string format, bool takesProcess, CancellationToken cancellationToken)
    {
        List<string> answers = [];
        var answered = false;
        foreach (var program in Installed())
        {
            var result = await ChildProcess.RunAsync(program, ["container", "inspect", "--format", format, "--", container], cancellationToken);
            if (result.ExitCode == 0)
                return (program, result.Output);
            // Both say it so; another failure is that of an engine that cannot answer.
            answered |= result.Errors.Contains("no such container", StringComparison.OrdinalIgnoreCase);
            answers.Add($"{program}: {result.Errors.Trim().ReplaceLineEndings(" ")}");
        }

        if (answers.Count == 0)
        {
            throw new HsmRemoteException(
                "NoContainerEngine", FailureKind.Unavailable, "Neither podman nor docker is on PATH, so that nobody can be asked for a container.",
                takesProcess ? "Give the main process itself, as the host numbers it, with -ProcessId." : "Run it where the container's engine is, or put the engine on PATH.", container);
        }

        throw answered
            ? new HsmRemoteException(
                "ContainerNotFound", FailureKind.NotFound, $"There is no container '{container}' ({string.Join("; ", answers)}).",
                $"A container of another user is known to that user's engine only: {(takesProcess ? "give its main process with -ProcessId" : "run it as that user")}.", container)
            : new HsmRemoteException(
                "NoContainerEngine", FailureKind.Unavailable, $"No container engine answers ({string.Join("; ", answers)}).",
                takesProcess ? "Start it, or give the main process itself, as the host numbers it, with -ProcessId." : "Start it.", container);
    }

    /// <summary>The names of the containers that run; those of an engine that does not answer are left out.</summary>
    internal static async Task<IReadOnlyList<string>> RunningAsync(CancellationToken cancellationToken)
    {
        var results = await Task.WhenAll(Installed().Select(program => ChildProcess.RunAsync(program, ["ps", "--format", "{{.Names}}"], cancellationToken)));
        return [.. results.Where(r => r.ExitCode == 0).SelectMany(r => r.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))];
    }

    /// <summary>The names of the images that engines have here; those of an engine that does not answer are left out.</summary>
    internal static async Task<IReadOnlyList<string>> ImagesAsync(CancellationToken cancellationToken)
    {
        var results = await Task.WhenAll(Installed().Select(program => ChildProcess.RunAsync(program, ["images", "--format", "{{.Repository}}:{{.Tag}}"], cancellationToken)));
        return [.. results.Where(r => r.ExitCode == 0)
            .SelectMany(r => r.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
            .Where(name => !name.Contains("<none>", StringComparison.Ordinal))];
    }

    /// <summary>What an engine says in JSON, or null when it is not installed or does not answer.</summary>
    internal static async Task<JsonElement?> TryAskAsync(string program, string[] arguments, CancellationToken cancellationToken)
    {
        if (!Installed().Contains(program, StringComparer.Ordinal))
            return null;
        var result = await ChildProcess.RunAsync(program, arguments, cancellationToken);
        if (result.ExitCode != 0)
            return null;
        try
        {
            using var document = JsonDocument.Parse(result.Output);
            return document.RootElement.Clone();
        }
        catch (JsonException)
        {
            return null;
        }
    }

    /// <summary>The names of docker's containers by their ids; none when it does not answer in time.</summary>
    internal static async Task<IReadOnlyDictionary<string, string>> DockerNamesAsync(CancellationToken cancellationToken)
    {
        if (!Installed().Contains("docker", StringComparer.Ordinal))
            return new Dictionary<string, string>(StringComparer.Ordinal);
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        patience.CancelAfter(Patience);
        try
        {
            var result = await ChildProcess.RunAsync("docker", ["ps", "--no-trunc", "--format", "{{.ID}} {{.Names}}"], patience.Token);
            return result.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries)
                .Select(line => line.Split(' ', 2))
                .Where(words => words.Length == 2)
                .ToDictionary(words => words[0], words => words[1], StringComparer.Ordinal);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            return new Dictionary<string, string>(StringComparer.Ordinal);
        }
    }

    static IEnumerable<string> Installed()
    {
        var directories = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':', StringSplitOptions.RemoveEmptyEntries);
        return Programs.Where(program => Array.Exists(directories, directory => File.Exists(Path.Combine(directory, program))));
    }

    static HsmRemoteException NotRunning(string program, string container) => new(
        "ContainerNotRunning", FailureKind.InvalidOperation, $"The container '{container}' of {program} does not run, so that it has no process to be tested as.",
        $"Start it: `{program} start {container}`. Or test as the ids that it will have: -Uid, -Gid and -SupplementaryGroup.", container);
}
