using System.Runtime.InteropServices;

namespace HsmRemote.Services.Native;

/// <summary>Where a path leads, through whatever links.</summary>
static unsafe partial class FinalPath
{
    /// <summary>The path without links, '.' and '..', as realpath(3) gives it; the path itself when it leads nowhere.</summary>
    internal static string Of(string path)
    {
        var resolved = realpath(path, 0);
        try
        {
            return Marshal.PtrToStringUTF8(resolved) ?? path;
        }
        finally
        {
            NativeMemory.Free((void*)resolved);
        }
    }

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial nint realpath(string path, nint buffer);
}
