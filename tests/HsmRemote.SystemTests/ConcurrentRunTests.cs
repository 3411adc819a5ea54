using System.Text.Json;

namespace HsmRemote.SystemTests;

/// <summary>Runs at the same time, and what they say to each other.</summary>
/// <remarks>Not beside other tests: twenty at once take the machine for themselves, and the deadlines of those are not made for that.</remarks>
[Collection(nameof(ConcurrentRunTests))]
[CollectionDefinition(nameof(ConcurrentRunTests), DisableParallelization = true)]
public sealed class ConcurrentRunTests(SandboxFixture sandbox)
{
    const int Runs = 20;

    [Fact]
    public void Twenty_runs_on_one_instance_all_succeed_and_leave_one_of_their_states()
    {
        // Each with a path and a target of its own, so that two which were mixed would be seen.
        var script = $$"""
            pids=()
            for i in $(seq {{Runs}}); do
                {{SandboxFixture.ShellPath}} -NoProfile -NonInteractive -Command "Install-P11KitServer together -SocketPath /run/together-$i/p11 -TargetUri pkcs11:token=t$i" >/var/tmp/together.$i 2>&1 &
                pids+=($!)
            done
            for i in $(seq {{Runs}}); do wait "${pids[$i - 1]}" || { echo "run $i failed"; cat /var/tmp/together.$i; }; done
            """;
        Assert.Equal("", sandbox.Run(TimeSpan.FromMinutes(5), "", "bash", "-c", script).Succeeded());

        var server = sandbox.HsmRemote("Get-P11KitServer together").SucceededWithOne();
        var number = server.GetProperty("SocketPath").GetString()!.Split('-', '/')[3];
        Assert.Equal($"pkcs11:token=t{number}", server.GetProperty("TargetUri")[0].GetString());
        Assert.Equal($"/run/together-{number}", sandbox.Shell("ls -d /run/together-* /run/.hsmremote-together* 2>/dev/null || true").Succeeded());
        Assert.Equal("socket", sandbox.Run("stat", "-c", "%F", $"/run/together-{number}/p11").Succeeded());
        Assert.False(sandbox.HsmRemote("Install-P11KitServer together").SucceededWithOne().GetProperty("Changed").GetBoolean());
        Assert.Equal("", sandbox.Look("find /etc/together /etc/systemd/system -name '.*together*'"));
    }

    [Fact]
    public void Instances_of_one_group_are_removed_at_the_same_time_and_the_group_goes_with_the_last()
    {
        const int Instances = 4, Rounds = 3;
        var before = HostState.Of(sandbox, "jointly");
        var names = string.Join(", ", Enumerable.Range(1, Instances).Select(i => $"jointly{i}"));
        for (var round = 0; round < Rounds; round++)
        {
            sandbox.HsmRemote($"foreach ($n in '{names.Replace(", ", "', '", StringComparison.Ordinal)}') {{ $null = Install-P11KitServer $n -Group jointly-users }}").Succeeded();
            var script = $$"""
                pids=()
                for i in $(seq {{Instances}}); do
                    {{SandboxFixture.ShellPath}} -NoProfile -NonInteractive -Command "Uninstall-P11KitServer jointly$i" >/var/tmp/jointly.$i 2>&1 &
                    pids+=($!)
                done
                for i in $(seq {{Instances}}); do wait "${pids[$i - 1]}" || { echo "run $i failed"; cat /var/tmp/jointly.$i; }; done
                """;
            Assert.Equal("", sandbox.Run(TimeSpan.FromMinutes(5), "", "bash", "-c", script).Succeeded());
            HostState.IsAsBefore(before, sandbox, "jointly");
            Assert.NotEqual(0, sandbox.Run("getent", "group", "jointly-users").ExitCode);
        }
    }

    [Fact]
    public void A_run_says_whom_it_waits_for_and_other_instances_and_lookers_do_not_wait()
    {
        sandbox.HsmRemote("Install-P11KitServer waited").SucceededWithOne();
        // Another run, as it looks from outside: a process that holds the lock until somebody says that he waits.
        var script = $$"""
            ( exec 9>/run/.hsmremote-waited.lock; flock 9; echo -n $BASHPID >&9
              until grep -q 'Waiting for another run' /var/tmp/waited; do sleep 0.1; done; rm /run/.hsmremote-waited.lock ) 2>/dev/null &
            until [ -s /run/.hsmremote-waited.lock ]; do sleep 0.01; done
            {{SandboxFixture.ShellPath}} -NoProfile -Command 'Install-P11KitServer unwaited; Install-P11KitServer waited -SocketMode 0666 -WhatIf' >/var/tmp/unwaited 2>&1
            [ -e /run/.hsmremote-waited.lock ]
            {{SandboxFixture.ShellPath}} -NoProfile -Command 'Install-P11KitServer waited -SocketMode 0666 -Verbose' >/var/tmp/waited 2>&1
            cat /var/tmp/unwaited /var/tmp/waited
            """;
        var said = sandbox.Run(SandboxFixture.DefaultDeadline, "", "bash", "-euo", "pipefail", "-c", script).Succeeded();
        Assert.Matches("Waiting for another run on 'waited' \\(process [0-9]+\\)", said);
        Assert.Equal("0666", Text(sandbox.HsmRemote("Get-P11KitServer waited").SucceededWithOne(), "SocketMode"));
    }

    static string Text(JsonElement element, string property) => element.GetProperty(property).GetString()!;
}
