using System.Text;
using static HsmRemote.Services.Native.Libsystemd;

namespace HsmRemote.Services.Systemd;

/// <summary>What the journal has of a unit, sd-journal(3).</summary>
static class UnitJournal
{
    const int LocalOnly = 1;
    const int Notice = 5;

    // A busy host writes much meanwhile; beyond this, nobody waits.
    const int MaxEntries = 5000;

    /// <summary>The last lines of the units that fit, since a moment; empty when there are none, or when the caller may not read them.</summary>
    /// <param name="isOurs">Which units.</param>
    /// <param name="since">The moment.</param>
    /// <param name="count">How many lines at most.</param>
    internal static IReadOnlyList<string> Read(Func<string, bool> isOurs, DateTimeOffset since, int count)
    {
        if (sd_journal_open(out var journal, LocalOnly) < 0)
            return [];
        try
        {
            List<string> lines = [];
            var start = (ulong)((since - DateTimeOffset.UnixEpoch).Ticks / TimeSpan.TicksPerMicrosecond);
            if (sd_journal_seek_tail(journal) < 0)
                return [];
            for (var i = 0; i < MaxEntries && lines.Count < count && sd_journal_previous(journal) > 0; i++)
            {
                if (sd_journal_get_realtime_usec(journal, out var time) < 0 || time < start)
                    break;
                if (IsOfUnit(journal, isOurs) && Field(journal, "MESSAGE") is { Length: > 0 } message)
                    lines.Add(message);
            }

            lines.Reverse();
            return lines;
        }
        finally
        {
            sd_journal_close(journal);
        }
    }

    /// <summary>Whether the unit wrote it, or systemd wrote it about the unit and it is no mere start or end.</summary>
    static bool IsOfUnit(nint journal, Func<string, bool> isOurs) =>
        Field(journal, "_SYSTEMD_UNIT") is { } writer && isOurs(writer)
        || Field(journal, "UNIT") is { } subject && isOurs(subject) && int.TryParse(Field(journal, "PRIORITY"), out var priority) && priority <= Notice;

    static unsafe string? Field(nint journal, string name)
    {
        if (sd_journal_get_data(journal, name, out var data, out var length) < 0)
            return null;
        var text = Encoding.UTF8.GetString((byte*)data, (int)length);
        return text[(name.Length + 1)..];
    }
}
