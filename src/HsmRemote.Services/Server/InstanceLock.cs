using System.Security.Cryptography;
using System.Text;
using HsmRemote.Services.Native;
using HsmRemote.Services.Plan;

namespace HsmRemote.Services.Server;

/// <summary>The lock of an instance: while a run has it, nobody else plans or applies changes to the instance.</summary>
static class InstanceLock
{
    internal static async Task<IDisposable> TakeAsync(InstanceLayout layout, IReporter reporter, CancellationToken cancellationToken)
    {
        var name = layout.Name;
        var path = LockPath(layout);
        PlanLock? taken = null;
        try
        {
            taken = await PlanLock.TakeAsync(path, name, reporter, PlanLock.Limit, cancellationToken);
            // What a run left that was killed while it wrote. The plan to come may not touch the file again.
            if (InstanceRules.IsName(name))
            {
                foreach (var file in layout.Units.Select(layout.UnitPath).Append(layout.ConfigPath).Append(layout.SysusersPath))
                    AtomicFile.RemoveLeftovers(file);
            }

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
    static string LockPath(InstanceLayout layout) => Path.Combine(
        layout.RuntimeRoot,
        $".hsmremote-{(InstanceRules.IsName(layout.Name) ? layout.Name : Convert.ToHexString(SHA256.HashData(Encoding.UTF8.GetBytes(layout.Name))))}.lock");
}
