using System.Security.Cryptography;
using System.Text;
using HsmRemote.Services.Native;
using HsmRemote.Services.Plan;

namespace HsmRemote.Services.Server;

/// <summary>The lock of an instance: while a run has it, nobody else plans or applies changes to the instance. And that of a group.</summary>
static class InstanceLock
{
    internal static Task<PlanLock> TakeAsync(InstanceLayout layout, IReporter reporter, CancellationToken cancellationToken) => TakeAsync(
        LockPath(layout.RuntimeRoot, layout.Name), layout.Name,
        () =>
        {
            // What a run left that was killed while it wrote. The plan to come may not touch the file again.
            if (InstanceRules.IsName(layout.Name))
            {
                foreach (var file in layout.Units.Select(layout.UnitPath).Append(layout.ConfigPath))
                    AtomicFile.RemoveLeftovers(file);
            }
        },
        reporter, cancellationToken);

    /// <summary>No instance's name has an at sign.</summary>
    internal static Task<PlanLock> TakeGroupAsync(string group, IReporter reporter, CancellationToken cancellationToken) => TakeAsync(
        LockPath("/run", group, "@"), $"group {group}", () => { }, reporter, cancellationToken);

    static async Task<PlanLock> TakeAsync(string path, string name, Action taking, IReporter reporter, CancellationToken cancellationToken)
    {
        PlanLock? taken = null;
        try
        {
            taken = await PlanLock.TakeAsync(path, name, reporter, PlanLock.Limit, cancellationToken);
            taking();
            return taken;
        }
        catch (Exception e)
        {
            taken?.Dispose();
            if (e is not (IOException or UnauthorizedAccessException))
                throw;
            throw new HsmRemoteException(
                "LockFailed", FailureKind.Unavailable, $"'{name}' cannot be kept from other runs: {e.Message.TrimEnd('.')}; nothing has been changed.",
                $"Check that {Path.GetDirectoryName(path)} can be written to.", path, e);
        }
    }

    /// <summary>
    /// In the runtime directory of whoever's units they are. No instance's name begins with a dot, so it is never one's
    /// directory. What something else installed may have a name that is no file's.
    /// </summary>
    static string LockPath(string root, string name, string kind = "") => Path.Combine(
        root, $".hsmremote-{kind}{(InstanceRules.IsName(name) ? name : Convert.ToHexString(SHA256.HashData(Encoding.UTF8.GetBytes(name))))}.lock");
}
