namespace HsmRemote.Services.Systemd;

/// <summary>systemd's own programs, as an administrator types them: for the machine's units, or for the user's own.</summary>
static class SystemdTools
{
    internal static string Systemctl(P11KitServerScope scope) => scope == P11KitServerScope.User ? "systemctl --user" : "systemctl";

    internal static string Journalctl(P11KitServerScope scope) => scope == P11KitServerScope.User ? "journalctl --user" : "journalctl";
}
