namespace HsmRemote.Services.Native;

/// <summary>Whether paths lead to the same place, whatever directories are links. The last names need not be there.</summary>
static class SamePath
{
    internal static bool Is(string path, string other)
    {
        if (string.Equals(path, other, StringComparison.Ordinal))
            return true;
        var (directory, below) = Split(path);
        var (otherDirectory, otherBelow) = Split(other);
        return string.Equals(below, otherBelow, StringComparison.Ordinal) && directory.IsSameFileAs(otherDirectory);
    }

    /// <summary>The deepest directory above a path that is there, and the rest of the path.</summary>
    static (FileStatus Directory, string Below) Split(string path)
    {
        FileStatus status;
        var directory = Path.GetDirectoryName(path) ?? "/";
        while (FileStatus.TryRead(directory, out status) != 0 && directory.Length > 1)
            directory = Path.GetDirectoryName(directory)!;
        return (status, path[directory.Length..].TrimStart('/'));
    }
}
