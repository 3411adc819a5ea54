using HsmRemote.Services.Native;

namespace HsmRemote.Services.P11Kit;

/// <summary>The package that brought a file.</summary>
static class PackageOwner
{
    /// <summary>Its name; null when no package manager that is here knows the file.</summary>
    internal static async Task<string?> OfAsync(string path, CancellationToken cancellationToken)
    {
        if (File.Exists("/usr/bin/dpkg-query"))
        {
            var found = await ChildProcess.RunAsync("/usr/bin/dpkg-query", ["--search", path], cancellationToken);
            if (found.ExitCode == 0)
                return found.Output.Split(':')[0];
        }

        if (File.Exists("/usr/bin/rpm"))
        {
            var found = await ChildProcess.RunAsync("/usr/bin/rpm", ["--query", "--file", "--queryformat", "%{NAME}", path], cancellationToken);
            if (found.ExitCode == 0)
                return found.Output.Trim();
        }

        return null;
    }
}
