namespace HsmRemote.SystemTests;

/// <summary>
/// A run is killed, or a call of its fails, at every call with which it changes a file below /etc or /run, starts a program or
/// talks to systemd. Each command has a sandbox of its own, so that the whole of /etc, /run and the units can be compared.
/// </summary>
public abstract class CrashTests
{
    /// <summary>A kill leaves every file old or new, and the next run ends where an undisturbed one does.</summary>
    private protected static async Task KillAtEachCallAsync(string setUp, string command)
    {
        await using var interference = await Interference.StartAsync(setUp);
        var before = interference.Snapshot();
        var calls = interference.Count(command);
        var after = interference.Snapshot();
        Assert.NotEqual(before.Text, after.Text);
        Assert.False(after.HasLeftovers, after.Text);
        interference.Reset();
        Assert.Equal(before.Text, interference.Snapshot().Text);
        HashSet<string> allowed = [.. before.Text.Split('\n'), .. after.Text.Split('\n')];
        // What happens next depends on nothing but the state: each that is met is finished once.
        HashSet<string> finished = new(StringComparer.Ordinal);

        for (var at = 1; at <= calls.Count; at++)
        {
            var killed = interference.Run(command, "kill", at);
            Assert.True(killed.ExitCode == 137, $"Not killed at {calls[at - 1]}: {killed}");
            var left = interference.Snapshot();
            var odd = left.Settled.Split("--- units")[0].Split('\n').Where(line => line.Length > 0 && !allowed.Contains(line) && !IsMetadata(line)).ToList();
            Assert.True(odd.Count == 0, $"After a kill at {calls[at - 1]} there is what was there neither before nor after: {string.Join('\n', odd)}");
            if (string.Equals(left.Text, before.Text, StringComparison.Ordinal))
                continue;

            // Whether a file being written was left is part of the state, its random name is not.
            if (finished.Add($"{left.HasLeftovers} {left.Settled}"))
            {
                var again = interference.Run(command, "none", 0);
                // What all is done for may be refused: a server that something else installed is not removed.
                Assert.True(again.ExitCode == 0 || string.Equals(left.Settled, after.Settled, StringComparison.Ordinal), $"After a kill at {calls[at - 1]}: {again}");
                var now = interference.Snapshot();
                Assert.True(string.Equals(after.Text, now.Text, StringComparison.Ordinal), $"After a kill at {calls[at - 1]} the next run ends elsewhere: {Difference(after, now)}");
            }

            interference.Reset();
        }

        TestContext.Current.TestOutputHelper?.WriteLine($"{calls.Count} kills, {finished.Count} states to go on from");
    }

    /// <summary>When a call fails, the error says so, and all is as it was.</summary>
    private protected static async Task FailAtEachCallAsync(string setUp, string command)
    {
        await using var interference = await Interference.StartAsync(setUp);
        var before = interference.Snapshot();
        var calls = interference.Count(command);
        interference.Reset();

        // What comes before only reads, in as many calls as there are units to look at.
        const int CallsOfFirstStep = 6;
        var first = calls.ToList().FindIndex(call => call.Contains(" /etc/", StringComparison.Ordinal) || call.EndsWith(" /run/crash", StringComparison.Ordinal));
        for (var at = Math.Max(1, first - CallsOfFirstStep); at <= calls.Count; at++)
        {
            var failed = interference.Run(command, "fail", at);
            var now = interference.Snapshot();
            // A few do not matter to the run: a lock that seems taken is asked for again, a leftover of the lock is harmless, and a
            // module that cannot be asked, in its p11-kit, is a warning.
            if (failed.ExitCode == 0)
            {
                Assert.True(
                    calls[at - 1].Contains(".lock", StringComparison.Ordinal) || calls[at - 1].EndsWith("/p11-kit", StringComparison.Ordinal),
                    $"It succeeded although {calls[at - 1]} failed: {failed}");
                interference.Reset();
                continue;
            }

            Assert.True(failed.ExitCode == 1, $"At {calls[at - 1]}: {failed}");
            Assert.True(string.Equals(before.Text, now.Text, StringComparison.Ordinal), $"After a failure at {calls[at - 1]} something is changed: {Difference(before, now)}\n{failed}");
            Assert.DoesNotContain("still changed", failed.StdErr, StringComparison.Ordinal);
            if (failed.StdErr.Contains(": Step ", StringComparison.Ordinal))
                Assert.Contains("nothing has changed", failed.StdErr, StringComparison.Ordinal);
        }
    }

    // What systemd makes below /run has its mode and owner a moment after it has its name.
    static bool IsMetadata(string line) => line.StartsWith("run/", StringComparison.Ordinal);

    static string Difference(Interference.State expected, Interference.State actual)
    {
        var (wanted, found) = (expected.Text.Split('\n'), actual.Text.Split('\n'));
        return string.Join('\n', wanted.Except(found, StringComparer.Ordinal).Select(l => $"- {l}").Concat(found.Except(wanted, StringComparer.Ordinal).Select(l => $"+ {l}")));
    }
}

/// <summary>An instance that is new, and one that is changed.</summary>
public sealed class InstallCrashTests : CrashTests
{
    const string New = "Install-P11KitServer crash -Group crash-users";
    const string Changed = "Install-P11KitServer crash -Group crash-others -SocketPath /run/crash-moved/p11";

    [Theory]
    [InlineData("", New)]
    [InlineData(New, Changed)]
    public Task A_run_that_is_killed_leaves_old_or_new_and_the_next_one_finishes_it(string setUp, string command) => KillAtEachCallAsync(setUp, command);

    [Theory]
    [InlineData("", New)]
    [InlineData(New, Changed)]
    public Task A_run_in_which_a_call_fails_changes_nothing(string setUp, string command) => FailAtEachCallAsync(setUp, command);
}

/// <summary>A target that is changed, and an instance that is removed.</summary>
public sealed class UninstallCrashTests : CrashTests
{
    const string SetUp = "Install-P11KitServer crash -Group crash-users -TargetUri pkcs11:token=old";

    [Theory]
    [InlineData(SetUp, "Set-P11TargetUri crash pkcs11:token=new -Force")]
    [InlineData(SetUp, "Uninstall-P11KitServer crash")]
    public Task A_run_that_is_killed_leaves_old_or_new_and_the_next_one_finishes_it(string setUp, string command) => KillAtEachCallAsync(setUp, command);

    [Theory]
    [InlineData(SetUp, "Set-P11TargetUri crash pkcs11:token=new -Force")]
    [InlineData(SetUp, "Uninstall-P11KitServer crash")]
    public Task A_run_in_which_a_call_fails_changes_nothing(string setUp, string command) => FailAtEachCallAsync(setUp, command);
}

/// <summary>An instance that changes its mode, and one that moves from the machine to root's own systemd.</summary>
public sealed class MoveCrashTests : CrashTests
{
    const string SetUp = "Install-P11KitServer crash -Group crash-users -MaxConnections 9 -TargetUri pkcs11:token=old";

    [Theory]
    [InlineData(SetUp, "Install-P11KitServer crash -Mode Daemon")]
    [InlineData(SetUp, "Install-P11KitServer crash -Scope User")]
    public Task A_run_that_is_killed_leaves_old_or_new_and_the_next_one_finishes_it(string setUp, string command) => KillAtEachCallAsync(setUp, command);
}

/// <summary>A server that something else installed, and that is taken over.</summary>
public sealed class AdoptCrashTests : CrashTests
{
    // Its socket is what the umask makes of it, which nobody can see once it is stopped; its target is in its command alone.
    const string SetUp = """
        bash -euc 'printf "[Service]\nUMask=0027\nRuntimeDirectory=crash\nExecStart=/usr/bin/p11-kit server -f -n /run/crash/pkcs11 pkcs11:token=old\n[Install]\nWantedBy=multi-user.target\n" >/etc/systemd/system/crash.service; systemctl daemon-reload; systemctl -q enable --now crash.service; until [ -S /run/crash/pkcs11 ]; do sleep 0.1; done'
        """;

    // A target that is in a drop-in, which is kept out of the way meanwhile.
    const string Adopted = SetUp + """
        bash -euc 'mkdir /etc/systemd/system/crash.service.d; printf "[Service]\nExecStart=\nExecStart=/usr/bin/p11-kit server -f -n /run/crash/pkcs11 pkcs11:token=dropped\n" >/etc/systemd/system/crash.service.d/target.conf; systemctl daemon-reload; systemctl restart crash.service; until [ -S /run/crash/pkcs11 ]; do sleep 0.1; done'
        Install-P11KitServer crash -Adopt -Mode PerConnection
        """;

    [Theory]
    [InlineData(SetUp, "Install-P11KitServer crash -Adopt -Mode PerConnection")]
    [InlineData(Adopted, "Uninstall-P11KitServer crash")]
    public Task A_run_that_is_killed_leaves_old_or_new_and_the_next_one_finishes_it(string setUp, string command) => KillAtEachCallAsync(setUp, command);
}

/// <summary>An instance that gets another name.</summary>
public sealed class RenameCrashTests : CrashTests
{
    const string SetUp = "Install-P11KitServer crash -Group crash-users -MaxConnections 9 -TargetUri pkcs11:token=old";
    const string Renamed = "Install-P11KitServer crash2 -FormerName crash";

    [Theory]
    [InlineData(SetUp, Renamed)]
    public Task A_run_that_is_killed_leaves_old_or_new_and_the_next_one_finishes_it(string setUp, string command) => KillAtEachCallAsync(setUp, command);

    [Theory]
    [InlineData(SetUp, Renamed)]
    public Task A_run_in_which_a_call_fails_changes_nothing(string setUp, string command) => FailAtEachCallAsync(setUp, command);
}
