namespace HsmRemote.Services.Native;

/// <summary>What an identity may see and do at a path. Paths are absolute, and as that identity sees them.</summary>
interface IPathProbe
{
    /// <summary>The status of a file, not followed when it is a symbolic link.</summary>
    /// <returns>0 or errno.</returns>
    int Status(string path, out FileStatus status);

    /// <summary>Where a symbolic link points.</summary>
    /// <returns>0 or errno.</returns>
    int ReadLink(string path, out string target);

    /// <summary>Whether a file may be written to.</summary>
    /// <returns>0 or errno.</returns>
    int CanWrite(string path);
}
