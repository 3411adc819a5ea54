using System.Globalization;
using System.Text;
using HsmRemote.Services.Native;
using static HsmRemote.Services.Native.Libsystemd;

namespace HsmRemote.Services.Systemd;

/// <summary>What is asked of the journal.</summary>
/// <param name="IsOurs">Which units.</param>
/// <param name="Count">How many entries at most, the newest.</param>
sealed record JournalQuery(Func<string, bool> IsOurs, int Count)
{
    /// <summary>The units that are known by name.</summary>
    internal IReadOnlyList<string> Units { get; init; } = [];

    /// <summary>The slice that the others are in.</summary>
    internal string? Slice { get; init; }

    /// <summary>The user whose own manager has the units; null: the system's.</summary>
    internal uint? UserId { get; init; }

    /// <summary>Nothing before this moment.</summary>
    internal DateTimeOffset? Since { get; init; }

    /// <summary>The least priority of what systemd writes about a unit, syslog(3); what the unit itself writes is taken whatever it has.</summary>
    internal int SystemdPriority { get; init; } = 7;
}

/// <summary>An entry of the journal.</summary>
sealed record JournalLine(DateTimeOffset Time, int Priority, string Unit, int? ProcessId, string Message);

/// <summary>What the journal has of units, sd-journal(3).</summary>
static class UnitJournal
{
    internal const int Notice = 5;

    const string Persistent = "/var/log/journal";
    const int LocalOnly = 1;
    const int Information = 6;

    // systemd writes much about other units, and nobody waits for ever.
    const int MaxEntries = 20_000;

    /// <summary>Whether the caller may read the journal of an instance's units.</summary>
    /// <remarks>Everyone may read the journal of their own units, where each user has one, which is where the journal is kept on disk: journald.conf(5), SplitMode=.</remarks>
    internal static bool MayRead(P11KitServerScope scope) =>
        MayReadSystem() || (scope == P11KitServerScope.User && Directory.Exists(Persistent)
            && Directory.EnumerateDirectories(Persistent).Any(directory => File.Exists(Path.Combine(directory, $"user-{Accounts.geteuid()}.journal"))));

    /// <summary>Whether the caller may read the system's: root, and the groups that its files' ACLs name, systemd-journal among them.</summary>
    static bool MayReadSystem()
    {
        foreach (var root in new[] { Persistent, "/run/log/journal" })
        {
            try
            {
                foreach (var directory in Directory.Exists(root) ? Directory.EnumerateDirectories(root) : [])
                {
                    if (Path.Combine(directory, "system.journal") is var file && File.Exists(file))
                    {
                        using var open = File.Open(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
                    }
                }
            }
            catch (Exception e) when (e is UnauthorizedAccessException or IOException)
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>The newest entries that fit, the newest last; none when the caller may not read them.</summary>
    internal static IReadOnlyList<JournalLine> Read(JournalQuery query)
    {
        if (sd_journal_open(out var journal, LocalOnly) < 0)
            return [];
        try
        {
            Narrow(journal, query);
            List<JournalLine> lines = [];
            if (sd_journal_seek_tail(journal) < 0)
                return [];
            for (var i = 0; i < MaxEntries && lines.Count < query.Count && sd_journal_previous(journal) > 0; i++)
            {
                if (sd_journal_get_realtime_usec(journal, out var time) < 0)
                    break;
                var at = DateTimeOffset.UnixEpoch.AddMicroseconds(time);
                if (at < query.Since)
                    break;
                if (Read(journal, query, at) is { } line)
                    lines.Add(line);
            }

            lines.Reverse();
            return lines;
        }
        finally
        {
            sd_journal_close(journal);
        }
    }

    /// <summary>Has the journal's index leave out what cannot fit: all but the units, their slice, and what systemd itself writes.</summary>
    static void Narrow(nint journal, JournalQuery query)
    {
        string[][] alternatives =
        [
            .. query.Units.Select(unit => new[] { $"{Fields(query).Writer}={unit}" }),
            .. query.Slice is null ? Array.Empty<string[]>() : [[query.UserId is null ? $"_SYSTEMD_SLICE={query.Slice}" : $"_SYSTEMD_USER_SLICE={query.Slice}"]],
            query.UserId is { } user ? [$"_SYSTEMD_UNIT=user@{user}.service", "_COMM=systemd"] : ["_PID=1"],
        ];
        foreach (var alternative in alternatives)
        {
            foreach (var match in alternative)
            {
                var bytes = Encoding.UTF8.GetBytes(match);
                _ = sd_journal_add_match(journal, bytes, (nuint)bytes.Length);
            }

            _ = sd_journal_add_disjunction(journal);
        }
    }

    /// <summary>The fields that have the unit which wrote an entry, and the unit that systemd wrote about: systemd.journal-fields(7).</summary>
    static (string Writer, string Subject) Fields(JournalQuery query) => query.UserId is null ? ("_SYSTEMD_UNIT", "UNIT") : ("_SYSTEMD_USER_UNIT", "USER_UNIT");

    static JournalLine? Read(nint journal, JournalQuery query, DateTimeOffset time)
    {
        var fields = Fields(query);
        // Root reads the journals of all users, whose units may have the same names.
        if (query.UserId is { } user && !string.Equals(Field(journal, "_UID"), $"{user}", StringComparison.Ordinal))
            return null;
        var writer = Field(journal, fields.Writer);
        var isWriter = writer is not null && query.IsOurs(writer);
        var unit = isWriter ? writer : Field(journal, fields.Subject);
        if (unit is null || (!isWriter && !query.IsOurs(unit)))
            return null;
        var priority = int.TryParse(Field(journal, "PRIORITY"), CultureInfo.InvariantCulture, out var given) ? given : Information;
        if (!isWriter && priority > query.SystemdPriority)
            return null;
        return Field(journal, "MESSAGE") is { Length: > 0 } message
            ? new(time, priority, unit, int.TryParse(Field(journal, "_PID"), CultureInfo.InvariantCulture, out var process) ? process : null, message)
            : null;
    }

    static unsafe string? Field(nint journal, string name)
    {
        if (sd_journal_get_data(journal, name, out var data, out var length) < 0)
            return null;
        var text = Encoding.UTF8.GetString((byte*)data, (int)length);
        return text[(name.Length + 1)..];
    }
}
