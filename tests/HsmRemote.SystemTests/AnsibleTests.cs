using System.Text.RegularExpressions;

namespace HsmRemote.SystemTests;

/// <summary>The collection and the playbooks of docs/ansible.md, with Debian's Ansible, over OpenSSH, on four systems at once.</summary>
public sealed partial class AnsibleTests(FleetFixture fleet) : IClassFixture<FleetFixture>
{
    public static TheoryData<string> Playbooks => ["role", "cmdlets", "shell", "script", "retire"];

    [Theory]
    [MemberData(nameof(Playbooks))]
    public void A_run_succeeds_on_the_hosts_that_are_well(string playbook)
    {
        var run = fleet.Run(playbook, "first");
        foreach (var host in FleetFixture.GoodHosts)
            Assert.True(run.Recap(host) is { Failed: 0, Unreachable: 0, Changed: > 0 }, run.ToString());
    }

    [Theory]
    [MemberData(nameof(Playbooks))]
    public void A_second_run_changes_nothing(string playbook)
    {
        var run = fleet.Run(playbook, "second");
        foreach (var host in FleetFixture.GoodHosts)
            Assert.True(run.Recap(host) is { Failed: 0, Unreachable: 0, Changed: 0 }, run.ToString());
        Assert.True(run.Recap(FleetFixture.BrokenHost) is { Unreachable: 0, Changed: 0 }, run.ToString());
    }

    [Theory]
    [MemberData(nameof(Playbooks))]
    public void Check_mode_names_the_tasks_that_a_run_changes(string playbook)
    {
        var check = fleet.Run(playbook, "check");
        var first = fleet.Run(playbook, "first");
        // A single task that changes something and then fails is a failure, not a change.
        var isOneTask = playbook is "script";
        foreach (var host in isOneTask ? FleetFixture.GoodHosts : [.. FleetFixture.GoodHosts, FleetFixture.BrokenHost])
        {
            Assert.True(check.Recap(host) is { Failed: 0, Unreachable: 0 }, check.ToString());
            Assert.NotEmpty(check.Changed(host));
            Assert.Equal(first.Changed(host), check.Changed(host));
        }
    }

    [Fact]
    public void Check_mode_changes_nothing()
    {
        Assert.NotEmpty(fleet.Story);
        Assert.Equal("", string.Join('\n', fleet.ChangedByCheck));
    }

    [Fact]
    public void The_difference_of_every_file_is_shown_and_is_the_same_in_check_mode()
    {
        static string Plan(PlaybookRun run)
        {
            // What stands between the task's line and the first host's verdict; all hosts are new, and have the same.
            var lines = run.Result.StdOut.Split('\n').SkipWhile(l => !l.StartsWith("TASK [hsmremote.p11kit.p11_kit_server : Install the instance]", StringComparison.Ordinal));
            return string.Join('\n', lines.SkipWhile(l => !l.StartsWith("Create the file", StringComparison.Ordinal)).TakeWhile(l => !l.StartsWith("changed: [", StringComparison.Ordinal)));
        }

        var planned = Plan(fleet.Run("role", "check"));
        Assert.Contains("\n+++ /etc/systemd/system/edge.socket\n", planned, StringComparison.Ordinal);
        Assert.Contains("\n+SocketGroup=hsm\n", planned, StringComparison.Ordinal);
        Assert.Contains("\nStart edge.socket", planned, StringComparison.Ordinal);
        Assert.Equal(planned, Plan(fleet.Run("role", "first")));

        var target = fleet.Run("role", "first").Result.StdOut;
        foreach (var host in FleetFixture.GoodHosts)
            Assert.Matches($"\\+TARGET_PKCS11_URI=\"pkcs11:.*token={host}-token\"", target);
    }

    [Theory]
    [InlineData("role", "\"msg\": \"/run/edge/pkcs11: DirectoryNotSearchable: The directory /run/edge (0700 root(0):root(0)) cannot be searched", "Let it pass: `chmod o+x /run/edge`")]
    [InlineData("cmdlets", "\"msg\": \"/run/cmdlets/pkcs11: DirectoryNotSearchable: The directory /run/cmdlets (0700 root(0):root(0)) cannot be searched", "Let it pass: `chmod o+x /run/cmdlets`")]
    [InlineData("shell", "DirectoryNotSearchable: The directory /run/shell (0700 root(0):root(0)) cannot be searched", "Let it pass: `chmod o+x /run/shell`")]
    [InlineData("script", "DirectoryNotSearchable: The directory /run/script (0700 root(0):root(0)) cannot be searched", "Let it pass: `chmod o+x /run/script`")]
    public void A_test_that_fails_fails_its_host_alone_with_the_cause_and_the_remedy(string playbook, string cause, string remedy)
    {
        foreach (var turn in new[] { "first", "second" })
        {
            var run = fleet.Run(playbook, turn);
            Assert.True(run.Recap(FleetFixture.BrokenHost) is { Failed: 1 }, run.ToString());
            // Of a script file the engine shows an error folded, with '|' before each line.
            var said = FoldedLine().Replace(run.Result.StdOut, " ");
            Assert.Contains(cause, said, StringComparison.Ordinal);
            Assert.Contains(remedy, said, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void The_hosts_have_what_was_asked_for()
    {
        Assert.NotEmpty(fleet.Story);
        for (var host = 1; host <= 3; host++)
        {
            foreach (var (name, group) in new[] { ("cmdlets", 9921), ("shell", 9922), ("script", 9923) })
            {
                var tokens = fleet.Host(host, $"""
                    P11_KIT_SERVER_ADDRESS=unix:path=/run/{name}/pkcs11 setpriv --reuid 5000 --regid {group} --clear-groups \
                        p11tool --provider "$(find /usr/lib -name p11-kit-client.so | head -n 1)" --list-token-urls
                    """).Succeeded();
                Assert.EndsWith($"token=host{host}-token", tokens, StringComparison.Ordinal);
            }

            // It was retired.
            Assert.NotEqual(0, fleet.Host(host, "ls -d /etc/edge /run/edge /etc/systemd/system/edge.socket").ExitCode);
        }
    }

    [Fact]
    public void The_PIN_is_in_no_argument_no_environment_no_log_no_file_and_no_output()
    {
        foreach (var run in fleet.Story)
            Assert.DoesNotContain(FleetFixture.Pin, run.Result.StdOut + run.Result.StdErr, StringComparison.Ordinal);
        Assert.Equal("", fleet.Leaks);
        Assert.Contains("/cmdline", fleet.Caught, StringComparison.Ordinal);
        // They did log in.
        Assert.Contains("\"Login\"", fleet.Run("role", "first").Result.StdOut, StringComparison.Ordinal);
    }

    [Fact]
    public void The_collection_is_built_and_documented()
    {
        Assert.NotEmpty(fleet.Story);
        fleet.Controller("ansible-galaxy", "collection", "build", "--output-path", "built", "collections/ansible_collections/hsmremote/p11kit").Succeeded();
        fleet.Controller("ansible-galaxy", "collection", "install", "--collections-path", "installed", "built/hsmremote-p11kit-0.1.0.tar.gz").Succeeded();
        Assert.Contains("- name: The container's user signs", fleet.Controller("ansible-doc", "hsmremote.p11kit.cmdlet").Succeeded(), StringComparison.Ordinal);
        Assert.Contains("p11_kit_server_token_label", fleet.Controller("ansible-doc", "-t", "role", "hsmremote.p11kit.p11_kit_server").Succeeded(), StringComparison.Ordinal);
    }

    [GeneratedRegex(@"(\\r)?\\n\s+\| ", RegexOptions.ExplicitCapture, 1000)]
    private static partial Regex FoldedLine();
}
