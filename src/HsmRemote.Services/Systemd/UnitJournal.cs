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

    const int LocalOnly = 1;
    const int Information = 6;
    const string ManagerProcess = "1";

    // systemd writes much about other units, and nobody waits for ever.
    const int MaxEntries = 20_000;

    /// <summary>Whether the caller may read the system's journal: root, and the groups that its files' ACLs name, systemd-journal among them.</summary>
    internal static bool MayRead()
    {
        foreach (var root in new[] { "/var/log/journal", "/run/log/journal" })
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
        foreach (var match in query.Units.Select(unit => $"_SYSTEMD_UNIT={unit}").Concat(query.Slice is null ? [] : [$"_SYSTEMD_SLICE={query.Slice}"]).Append($"_PID={ManagerProcess}"))
        {
            var bytes = Encoding.UTF8.GetBytes(match);
            _ = sd_journal_add_match(journal, bytes, (nuint)bytes.Length);
            _ = sd_journal_add_disjunction(journal);
        }
    }

    static JournalLine? Read(nint journal, JournalQuery query, DateTimeOffset time)
    {
        var writer = Field(journal, "_SYSTEMD_UNIT");
        var isWriter = writer is not null && query.IsOurs(writer);
        var unit = isWriter ? writer : Field(journal, "UNIT");
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
