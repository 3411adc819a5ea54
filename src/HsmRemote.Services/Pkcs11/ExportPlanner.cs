using HsmRemote.Services.Native;
using HsmRemote.Services.Plan;

namespace HsmRemote.Services.Pkcs11;

/// <summary>What is missing for a file of the caller's to have a content.</summary>
static class ExportPlanner
{
    const UnixFileMode ForAllToRead = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.OtherRead;

    internal static IChangePlan Plan(string path, byte[] content)
    {
        if (Directory.Exists(path))
            throw Unusable(path, "it is a directory");
        if (Path.GetDirectoryName(path) is not { } directory || !Directory.Exists(directory))
            throw Unusable(path, $"there is no directory {Path.GetDirectoryName(path)}");
        try
        {
            var before = AtomicFile.Read(path);
            var after = before is null ? new FileImage(content, ForAllToRead, Accounts.geteuid(), Accounts.getegid()) : before with { Content = content };
            return new ChangePlan(path, after.IsSame(before) ? [] : [new WriteFileStep(path, before, after)], new Nothing());
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Unusable(path, e.Message.TrimEnd('.'), e);
        }
    }

    static HsmRemoteException Unusable(string path, string why, Exception? cause = null) => new(
        "PathUnusable", FailureKind.InvalidArgument, $"The certificate cannot be written to {path}: {why}.", "Give -Path a file in a directory that is there.", path, cause);

    // The plan holds nothing open.
    sealed class Nothing : IDisposable
    {
        public void Dispose()
        {
        }
    }
}
