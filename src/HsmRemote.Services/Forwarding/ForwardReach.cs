namespace HsmRemote.Services.Forwarding;

/// <summary>A forward as this process reaches its far side, for as long as this lives: with colima's configuration as it is now.</summary>
sealed class ForwardReach : IDisposable
{
    readonly DirectoryInfo? files;

    ForwardReach(ForwardSettings forward, DirectoryInfo? files)
    {
        this.files = files;
        Forward = files is null ? forward : forward with { ColimaFiles = files.FullName };
    }

    internal ForwardSettings Forward { get; }

    /// <param name="forward">The forward.</param>
    /// <param name="knownHosts">The virtual machine's keys; null: those that the forward holds.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <exception cref="HsmRemoteException">colima does not answer.</exception>
    internal static async Task<ForwardReach> OpenAsync(ForwardSettings forward, string? knownHosts, CancellationToken cancellationToken)
    {
        if (forward.ColimaProfile is not { } profile)
            return new(forward, null);
        var (_, config) = await Colima.ReadAsync(profile, cancellationToken);
        var reach = new ForwardReach(forward, Directory.CreateTempSubdirectory("p11-"));
        try
        {
            await File.WriteAllTextAsync(Path.Combine(reach.files!.FullName, ForwardLayout.ColimaConfig), config, cancellationToken);
            await File.WriteAllTextAsync(
                Path.Combine(reach.files.FullName, ForwardLayout.KnownHosts), knownHosts ?? await File.ReadAllTextAsync(forward.Layout.KnownHostsPath, cancellationToken), cancellationToken);
            return reach;
        }
        catch
        {
            reach.Dispose();
            throw;
        }
    }

    public void Dispose() => files?.Delete(recursive: true);
}
