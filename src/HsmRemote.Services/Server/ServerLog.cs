using System.Text.RegularExpressions;
using HsmRemote.Services.Systemd;

namespace HsmRemote.Services.Server;

/// <summary>The journal of an instance: of its socket, its service, and the services of its connections.</summary>
static partial class ServerLog
{
    /// <summary>The newest entries, the newest last.</summary>
    internal static IReadOnlyList<P11KitLogEntry> Read(P11KitServer server, int count)
    {
        var layout = new InstanceLayout(server.Name, server.Scope);
        var query = new JournalQuery(unit => IsOf(server, unit), count)
        {
            Units = [server.Unit, server.ServiceUnit],
            Slice = layout.ConnectionSlice,
            UserId = layout.UserId,
        };
        return [.. UnitJournal.Read(query).Select(line => Entry(server.Name, line))];
    }

    static bool IsOf(P11KitServer server, string unit) =>
        string.Equals(unit, server.Unit, StringComparison.Ordinal)
        || string.Equals(unit, server.ServiceUnit, StringComparison.Ordinal)
        || (server.Mode == P11KitServerMode.PerConnection && unit.StartsWith($"{server.Name}@", StringComparison.Ordinal) && unit.EndsWith(".service", StringComparison.Ordinal));

    static P11KitLogEntry Entry(string name, JournalLine line)
    {
        var peer = Peer(line.Unit);
        return new P11KitLogEntry
        {
            Name = name,
            Time = line.Time.ToLocalTime(),
            Priority = (P11KitLogPriority)line.Priority,
            Unit = line.Unit,
            ProcessId = line.ProcessId,
            Message = line.Message,
            PeerProcessId = peer?.ProcessId,
            PeerUserId = peer?.UserId,
        };
    }

    /// <summary>The peer of a connection, which systemd names its service after; null when the unit is none.</summary>
    internal static (int ProcessId, uint UserId)? Peer(string unit) =>
        ConnectionName().Match(unit) is { Success: true } match && int.TryParse(match.Groups["pid"].Value, out var process) && uint.TryParse(match.Groups["uid"].Value, out var user)
            ? (process, user)
            : null;

    // NUMBER-PID-UID; from systemd 257 on NUMBER-PID_PIDFDID-UID.
    [GeneratedRegex(@"@[0-9]+-(?<pid>[0-9]+)(?:_[0-9]+)?-(?<uid>[0-9]+)\.service\z", RegexOptions.CultureInvariant | RegexOptions.ExplicitCapture, 1000)]
    private static partial Regex ConnectionName();
}
