namespace HsmRemote.SystemTests;

/// <summary>All of /etc, of /run and of what systemd knows, to compare before and after.</summary>
static class HostState
{
    // What is not of instances: images and roots of other tests. What runs by itself: logs, invocations, what systemd mounts a service's files on; and the copy that shadow's tools leave of what they change (groupdel(8)). systemctl's columns are as wide as any unit of the host needs.
    const string Script = """
        # D-Bus starts when it is first asked.
        busctl --no-pager list >/dev/null
        for d in /etc /run; do
            find $d -xdev \( -path /run/log -o -path /run/containers-test -o -path /run/trixie -o -path /run/rootless -o -path /run/systemd/journal -o -path /run/systemd/units -o -path /run/systemd/propagate -o -path /run/systemd/unit-root -o -path /run/systemd/transient -o -path /run/user \
                -o -name 'group-' -o -name 'gshadow-' \) -prune -o -printf '%p %y %m %u %g %l\n'
            find $d -xdev \( -path /run/log -o -path /run/containers-test -o -path /run/trixie -o -path /run/rootless -o -path /run/systemd -o -path /run/user -o -name 'group-' -o -name 'gshadow-' \) -prune -o -type f -exec sha256sum {} +
        done | LC_ALL=C sort
        systemctl list-unit-files --no-legend --plain | grep -v '^run-' | tr -s ' '
        systemctl list-units --all --no-legend --plain | awk '{ print "unit", $1, $2, $3 }' | grep -vE '^unit (user|session|run-)' | LC_ALL=C sort
        """;

    /// <summary>One line for each thing.</summary>
    /// <param name="sandbox">The system.</param>
    /// <param name="about">A name that all that matters has in it, where other tests change the system meanwhile.</param>
    internal static string[] Of(SandboxFixture sandbox, string about = "") =>
        [.. sandbox.Look(Script).Split('\n').Where(line => line.Contains(about, StringComparison.Ordinal))];

    /// <summary>Fails unless nothing has changed.</summary>
    internal static void IsAsBefore(string[] before, SandboxFixture sandbox, string about = "")
    {
        var after = Of(sandbox, about);
        var difference = before.Except(after, StringComparer.Ordinal).Select(line => $"- {line}")
            .Concat(after.Except(before, StringComparer.Ordinal).Select(line => $"+ {line}"));
        Assert.Equal("", string.Join('\n', difference));
    }
}
