using System.Runtime.InteropServices;

namespace HsmRemote.Services.Native;

/// <summary>The environment that native code sees. The runtime keeps one of its own, and what is set there never arrives here.</summary>
static partial class ProcessEnvironment
{
    // What native code can have: what the process started with, and what was passed on since.
    static readonly HashSet<string> Names = new(
        File.ReadAllText("/proc/self/environ").Split('\0').Select(line => line.Split('=')[0]).Where(name => name.Length > 0), StringComparer.Ordinal);

    static readonly Lock Changing = new();

    /// <summary>Makes the environment of native code that of the session. What is the same is left alone: setenv(3) disturbs readers.</summary>
    internal static void PassOn(IReadOnlyDictionary<string, string> session)
    {
        lock (Changing)
        {
            foreach (var name in Names.Where(name => !session.ContainsKey(name)).ToList())
            {
                _ = unsetenv(name);
                Names.Remove(name);
            }

            foreach (var (name, value) in session)
            {
                if (!string.Equals(Marshal.PtrToStringUTF8(getenv(name)), value, StringComparison.Ordinal))
                    _ = setenv(name, value, 1);
                Names.Add(name);
            }
        }
    }

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial nint getenv(string name);

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int setenv(string name, string value, int overwrite);

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int unsetenv(string name);
}
