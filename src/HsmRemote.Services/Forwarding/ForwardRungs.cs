using System.Net.Sockets;
using HsmRemote.Services.P11KitRpc;
using HsmRemote.Services.Sockets;
using HsmRemote.Services.Systemd;

namespace HsmRemote.Services.Forwarding;

/// <summary>The rungs that a forward adds to the ladder of its socket: its tunnel, and what is at the other end.</summary>
sealed class ForwardRungs(ForwardSettings forward) : IAsyncDisposable
{
    static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(100);

    readonly ForwardLayout layout = forward.Layout;
    readonly SshBridge bridge = new();
    P11SocketForward? seen;

    /// <summary>Whether the socket is on the far side.</summary>
    internal bool IsAway => forward.Direction == P11ForwardDirection.Push;

    string Systemctl => SystemdTools.Systemctl(layout.Scope);

    /// <summary>The process that holds the connection.</summary>
    internal async Task<Rung> TunnelAsync(CancellationToken deadline)
    {
        using var managers = new SystemdManagers();
        // The first attempt is worth waiting for.
        while ((seen = ForwardInventory.Describe(forward, ForwardLayout.IsLaunchd ? null : managers[layout.Scope])).State == P11ForwardState.Connecting && !deadline.IsCancellationRequested)
            await Task.Delay(Pause, CancellationToken.None);
        return seen.State is P11ForwardState.Stopped or P11ForwardState.Failed
            ? new Rung(
                $"{layout.Unit} does not run",
                P11SocketCause.TunnelStopped,
                $"The tunnel of the forward {layout.Name} does not run ({seen.State}), so that nothing leads from {forward.MadePath} to {forward.ServedPath}.",
                $"Start it: `{Systemctl} start {layout.Unit}`. Why it ended: `{SystemdTools.Journalctl(layout.Scope)} -n 20 -u {layout.Unit}`.")
            : new($"process {seen.ProcessId}, {(seen.State == P11ForwardState.Connected ? $"connected to {forward.Host} since {seen.Since:HH:mm:ss}" : $"not connected, tried {seen.Attempts} times")}");
    }

    /// <summary>The other machine, and the socket there.</summary>
    internal async Task<Rung> RemoteEndAsync(CancellationToken deadline)
    {
        try
        {
            if (seen!.State != P11ForwardState.Connected)
                throw SshFailure.Of(ForwardInventory.Said(layout), forward);
            using var reach = await ForwardReach.OpenAsync(forward, null, deadline);
            return IsAway ? await LookAsync(reach.Forward, deadline) : await AskAsync(reach.Forward, deadline);
        }
        catch (HsmRemoteException e)
        {
            return new(e.Failure.TrimEnd('.'), SshFailure.CauseOf(e), $"{e.Failure} {(seen!.State == P11ForwardState.Connected ? "" : "The tunnel goes on trying, each time after a longer pause.")}".Trim(), e.Remedy);
        }
    }

    /// <summary>A connection to the socket on the far side, and from there back to here.</summary>
    internal async Task<P11KitRpcClient> ConnectAsync(CancellationToken deadline)
    {
        using var reach = await ForwardReach.OpenAsync(forward, null, deadline);
        var socket = await bridge.ConnectAsync(reach.Forward, forward.RemotePath, deadline);
        return await P11KitRpcClient.ConnectAsync(new NetworkStream(socket, ownsSocket: true), deadline);
    }

    /// <summary>Nothing came back through the tunnel.</summary>
    internal Rung NotAnswering(P11KitRpcException broken) => bridge.WasRefused
        ? new(
            $"sshd does not connect to {forward.RemotePath}",
            P11SocketCause.ForwardingNotAllowed,
            $"sshd of {forward.Host} would not connect to {forward.RemotePath} for this test: the user may not, or AllowStreamLocalForwarding is 'remote' or 'no' there.",
            "Test it over there instead, as the one who is to use it: `Test-P11Socket -SocketPath " + forward.RemotePath + "`.")
        : new(
            $"closed before its first byte ({broken.Found})",
            P11SocketCause.RemoteNotAnswering,
            $"The tunnel stands, and what it leads to, {forward.ServedPath} on this host, does not answer: its server is stopped, or refuses this user.",
            forward.ServerName is null ? $"Test it: `Test-P11Socket -SocketPath {forward.SocketPath}`." : $"Test it: `Test-P11Socket -Name {forward.ServerName}`.");

    public ValueTask DisposeAsync() => bridge.DisposeAsync();

    async Task<Rung> LookAsync(ForwardSettings reached, CancellationToken deadline)
    {
        var end = await new FarSide(reached).LookAsync(deadline);
        return end.Path is "live"
            ? new($"{forward.Host} lets {end.UserName} in, and {forward.RemotePath} is listened on")
            : new(
                $"{forward.RemotePath}: {(end.Path is "free" ? "nothing is there" : end.Path)}",
                P11SocketCause.StaleForward,
                $"The tunnel stands, and {forward.RemotePath} on {forward.Host} is not its socket any more ({(end.Path is "free" ? "nothing is there" : end.Path)}): somebody has removed it or put something in its place.",
                $"Have it made anew: `{Systemctl} restart {layout.Unit}`.");
    }

    async Task<Rung> AskAsync(ForwardSettings reached, CancellationToken deadline)
    {
        var socket = await bridge.ConnectAsync(reached, forward.RemotePath, deadline);
        try
        {
            await using var client = await P11KitRpcClient.ConnectAsync(new NetworkStream(socket, ownsSocket: true), deadline);
            return new($"{forward.RemotePath} on {forward.Host} answers");
        }
        catch (P11KitRpcException e)
        {
            return new(
                bridge.WasRefused ? $"sshd does not connect to {forward.RemotePath}" : $"closed before its first byte ({e.Found})",
                P11SocketCause.RemoteNotAnswering,
                bridge.WasRefused
                    ? $"The tunnel stands, and sshd of {forward.Host} cannot connect to {forward.RemotePath}: it is not there, nobody listens, or the user may not."
                    : $"The tunnel stands, and what listens on {forward.RemotePath} of {forward.Host} closed before its first byte: it refuses this user, or its `p11-kit remote` ended.",
                $"Test it over there: `Test-P11Socket -SocketPath {forward.RemotePath}`.");
        }
    }
}
