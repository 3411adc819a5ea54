using System.Text;
using HsmRemote.Services.Native;

namespace HsmRemote.Services.Server;

/// <summary>Lets systemd itself judge unit files before they are put in place: systemd-analyze verify.</summary>
static class UnitVerifier
{
    /// <param name="units">File name and content of each unit.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <param name="scope">For whose systemd they are.</param>
    /// <exception cref="HsmRemoteException">systemd has something to say about one of them.</exception>
    internal static async Task VerifyAsync(IReadOnlyDictionary<string, string> units, CancellationToken cancellationToken, P11KitServerScope scope = P11KitServerScope.System)
    {
        var directory = Directory.CreateTempSubdirectory("hsmremote-");
        try
        {
            foreach (var (name, content) in units)
            {
                // Whatever the caller's umask(2) is: systemd complains of a file that others may write.
                var options = new FileStreamOptions
                {
                    Mode = FileMode.CreateNew, Access = FileAccess.Write, UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
                };
                await using var stream = new FileStream(Path.Combine(directory.FullName, name), options);
                await stream.WriteAsync(Encoding.UTF8.GetBytes(content), cancellationToken);
            }

            var result = await ChildProcess.RunAsync(
                "systemd-analyze", ["verify", scope == P11KitServerScope.User ? "--user" : "--system", "--man=no", "--recursive-errors=no", .. units.Keys.Select(name => Path.Combine(directory.FullName, name))],
                cancellationToken);
            // It also grumbles about units of the system that these bring in; only what names one of ours counts.
            var complaints = result.Errors.Split('\n').Where(line => units.Keys.Any(name => line.Contains(name, StringComparison.Ordinal))).ToList();
            if (complaints.Count > 0)
            {
                throw new HsmRemoteException(
                    "UnitRejected", FailureKind.InvalidArgument, $"systemd would not take the units: {string.Join(" ", complaints).Trim()}.",
                    "Change the value that it names.", string.Join(", ", units.Keys));
            }
        }
        finally
        {
            directory.Delete(recursive: true);
        }
    }
}
