namespace HsmRemote.Services.Containers;

/// <summary>The first line of the files that are written as a whole; a file without it is somebody else's.</summary>
static class FileMark
{
    const string Writer = "Written by HsmRemote: New-P11ContainerConfig";

    internal const string Dockerfile = $"{Writer} -Dockerfile";

    internal static string Of(P11ContainerConfig config) => $"{Writer} -Name {config.Name} -Engine {config.Engine}";

    /// <summary>Whether a file that is there may be replaced as a whole.</summary>
    internal static bool IsOn(string text) => text.StartsWith($"# {Writer}", StringComparison.Ordinal);
}
