using HsmRemote.Services.Sockets;

namespace HsmRemote.Services.Containers;

/// <summary>The first line of the files that are written as a whole; a file without it is somebody else's.</summary>
static class FileMark
{
    const string Writer = "Written by HsmRemote: New-P11ContainerConfig";

    internal const string Dockerfile = $"{Writer} -Dockerfile";

    internal static string Of(P11ContainerConfig config) => $"{Writer} -Name {config.Name} -Engine {config.Engine}";

    /// <summary>Whether a file that is there may be replaced as a whole. Arguments have no room for a comment: they are known by what they say.</summary>
    internal static bool IsOn(string text) =>
        text.StartsWith($"# {Writer}", StringComparison.Ordinal)
        || (text.StartsWith("--", StringComparison.Ordinal) && text.TrimEnd('\n').IndexOf('\n', StringComparison.Ordinal) < 0
            && text.Contains($"{ProcessAddress.Variable}=unix:path=", StringComparison.Ordinal));
}
