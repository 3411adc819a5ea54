using HsmRemote.Services.Native;
using HsmRemote.Services.Systemd;

namespace HsmRemote.Services.Server;

/// <summary>Whose the socket's file is, and who may write to it; null what is not known.</summary>
sealed record SocketAccess(string? Mode, string? User, string? Group)
{
    /// <summary>What the socket's unit says, or the file, where the server makes it.</summary>
    /// <param name="socket">The socket's unit, if there is one.</param>
    /// <param name="path">The socket's path, if it is known.</param>
    /// <param name="isMadeByServer">Whether it may be the server that makes the file: without activation it puts its own in the place of systemd's.</param>
    internal static SocketAccess Of(UnitProperties? socket, string? path, bool isMadeByServer)
    {
        if (isMadeByServer && path is not null && FileStatus.TryRead(path, out var status) == 0 && status.IsSocket)
        {
            return new(
                Octal((int)status.Permissions),
                Accounts.FindUser(status.UserId)?.Name ?? $"{status.UserId}",
                Accounts.FindGroup(status.GroupId)?.Name ?? $"{status.GroupId}");
        }

        return socket is null
            ? new(null, null, null)
            : new(
                socket.Number("SocketMode") is { } bits ? Octal((int)bits) : null,
                socket.Text("SocketUser") is { Length: > 0 } user ? user : "root",
                socket.Text("SocketGroup") is { Length: > 0 } group ? group : "root");
    }

    static string Octal(int mode) => Convert.ToString(mode, 8).PadLeft(4, '0');
}
