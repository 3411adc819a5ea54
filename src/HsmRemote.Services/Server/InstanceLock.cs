using System.Security.Cryptography;
using System.Text;
using HsmRemote.Services.Native;
using HsmRemote.Services.Plan;

namespace HsmRemote.Services.Server;

/// <summary>The lock of an instance: while a run has it, nobody else plans or applies changes to the instance.</summary>
static class InstanceLock
{
    internal static async Task<IDisposable> TakeAsync(string name, P11KitServerScope scope, IReporter reporter, CancellationToken cancellationToken)
    {
        var path = LockPath(name, scope);
        PlanLock? taken = null;
        try
        {
            taken = await PlanLock.TakeAsync(path, name, reporter, PlanLock.Limit, cancellationToken);
            // What a run left that was killed while it wrote. The plan to come may not touch the file again.
            if (InstanceRules.IsName(name))
            {
                var layout = new InstanceLayout(name);
                foreach (var file in new[] { layout.SocketUnitPath, layout.ServiceTemplatePath, layout.ConfigPath, layout.SysusersPath })
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
    static string LockPath(string name, P11KitServerScope scope) => Path.Combine(
        scope == P11KitServerScope.System ? "/run" : Environment.GetEnvironmentVariable("XDG_RUNTIME_DIR") ?? $"/run/user/{Accounts.geteuid()}",
        $".hsmremote-{(InstanceRules.IsName(name) ? name : Convert.ToHexString(SHA256.HashData(Encoding.UTF8.GetBytes(name))))}.lock");
}
