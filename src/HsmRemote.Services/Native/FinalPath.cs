namespace HsmRemote.Services.Native;

/// <summary>Where a path leads when it is a link.</summary>
static class FinalPath
{
    /// <summary>What a link leads to in the end; the path itself when it is no link, or leads nowhere.</summary>
    internal static string Of(string path) => (File.Exists(path) ? File.ResolveLinkTarget(path, returnFinalTarget: true)?.FullName : null) ?? path;
}
