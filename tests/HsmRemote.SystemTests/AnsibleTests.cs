using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace HsmRemote.SystemTests;

/// <summary>The collection and the playbooks of docs/ansible.md, with Debian's Ansible, over OpenSSH, on four systems at once.</summary>
public sealed partial class AnsibleTests(FleetFixture fleet) : IClassFixture<FleetFixture>
{
    public static TheoryData<string> Playbooks => ["role", "cmdlets", "shell", "script", "module", "retire"];

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
        if (fleet.ChangedByCheck.Count > 0)
            Assert.Fail(string.Join('\n', fleet.ChangedByCheck));
    }

    [Fact]
    public void The_difference_of_every_file_is_shown_and_is_the_same_in_check_mode()
    {
        static string Plan(PlaybookRun run)
        {
            // Of one host: what stands between the verdict on the host before, and that on it. The broken one has another.
            // With -vvv what another host's ssh has brought comes in between, in a line of its own.
            var lines = run.Result.StdOut.Split('\n').Where(l => !l.StartsWith("<host", StringComparison.Ordinal)).SkipWhile(l => !l.StartsWith("TASK [hsmremote.p11kit.p11_kit_server : Install the instance]", StringComparison.Ordinal))
                .TakeWhile(l => !l.StartsWith("changed: [host1]", StringComparison.Ordinal)).ToList();
            return string.Join('\n', lines.Skip(lines.FindLastIndex(l => l.StartsWith("changed: [", StringComparison.Ordinal)) + 1).SkipWhile(l => !l.StartsWith("Create the file", StringComparison.Ordinal)));
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
    [InlineData("module", "\"msg\": \"/run/module/pkcs11: DirectoryNotSearchable: The directory /run/module (0700 root(0):root(0)) cannot be searched", "Let it pass: `chmod o+x /run/module`")]
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
            foreach (var (name, group) in new[] { ("cmdlets", 9921), ("shell", 9922), ("script", 9923), ("module", 9924) }.Where(made => made.Item1 is not "module" || FleetFixture.Pwsh is not null))
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
            Assert.DoesNotContain(fleet.Pin, run.Result.StdOut + run.Result.StdErr, StringComparison.Ordinal);
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
        Assert.Contains("ansible-core 2.21 or later", fleet.Controller("ansible-doc", "hsmremote.p11kit.p11_kit_server").Succeeded(), StringComparison.Ordinal);
    }

    [Fact]
    public void The_module_in_PowerShell_is_refused_by_an_Ansible_that_cannot_run_it_and_another_way_is_named()
    {
        Assert.NotEmpty(fleet.Story);
        var version = fleet.Controller("ansible", "--version").Succeeded();
        Assert.SkipUnless(CoreVersion().Match(version) is { Success: true } match && int.Parse(match.Groups["minor"].Value) < 21, $"This Ansible may run it: {version.Split('\n')[0]}");
        var refused = fleet.Controller("ansible", "host1", "-m", "hsmremote.p11kit.p11_kit_server", "-a", "name=refused");
        Assert.NotEqual(0, refused.ExitCode);
        Assert.Contains("which ansible-core runs on Linux from 2.21 on", refused.StdOut, StringComparison.Ordinal);
        Assert.Contains("the action hsmremote.p11kit.cmdlet", refused.StdOut, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("""{"name":"Get-P11KitServer;id"}""", "name has to be a cmdlet's")]
    [InlineData("""{"name":"Test-P11Socket","parameters":{"Pin":"x"}}""", "A PIN goes into the task's own 'pin'")]
    [InlineData("""{"name":"Get-P11KitServer","parameters":"edge"}""", "parameters has to be a dictionary")]
    [InlineData("""{"name":"Install-P11KitServer","parameters":{"Name":"number","SocketMode":432}}""", "SocketMode is the number 432")]
    [InlineData("""{"name":"Get-P11KitServer","engine":"/nowhere/hsmremote"}""", "ended with status 127: ")]
    [InlineData("""{"name":"Get-P11KitServer","colour":"red"}""", "Invalid options for hsmremote.p11kit.cmdlet: colour")]
    [InlineData("""{"name":"Get-P11KitServer","parameters":{"Name":"nobody"}}""", "There is no p11-kit server 'nobody' on this host. There is: ")]
    public void A_task_that_cannot_be_run_says_why(string arguments, string message)
    {
        Assert.NotEmpty(fleet.Story);
        var refused = fleet.Controller("ansible", "host1", "-m", "hsmremote.p11kit.cmdlet", "-a", arguments);
        Assert.NotEqual(0, refused.ExitCode);
        Assert.True(refused.StdOut.Contains(message, StringComparison.Ordinal), refused.ToString());
    }

    [Theory]
    [InlineData("p11_kit_server_install: hsmremote", "p11_kit_server_package is '', and there is no such file on the controller", "relative to the playbook's directory")]
    [InlineData("p11_kit_server_package: nowhere/hsmremote.tar.gz", "/nowhere/hsmremote.tar.gz. Give the path of hsmremote-VERSION-linux-x64.tar.gz", "p11_kit_server_install: none")]
    [InlineData("p11_kit_server_install: none, p11_kit_server_parameters: {SocketMode: 0660}", "SocketMode is the number 432", "Quote it, as in SocketMode: '0660'.")]
    [InlineData("p11_kit_server_install: none, p11_kit_server_token_label: 2024", "0 tokens of this host have the label '2024'", "Plug the token in")]
    public void The_role_says_what_is_missing(string variables, string cause, string remedy)
    {
        var run = fleet.UseRole("refused", "host1", ["--check"], $"p11_kit_server_name: refused, {variables}");
        Assert.True(run.Recap("host1") is { Failed: 1, Unreachable: 0 }, run.ToString());
        Assert.Contains(cause, run.Result.StdOut, StringComparison.Ordinal);
        Assert.Contains(remedy, run.Result.StdOut, StringComparison.Ordinal);
    }

    [Fact]
    public void The_role_leaves_out_the_test_and_the_group_that_nobody_asked_for()
    {
        const string Own = "p11_kit_server_install: none, p11_kit_server_name: own, p11_kit_server_parameters: {Scope: User}, p11_kit_server_target_uri: ['pkcs11:token=host1-token']";
        Assert.NotEmpty(fleet.Story);
        fleet.Host(1, "systemctl start user@0.service").Succeeded();
        var check = fleet.UseRole("own", "host1", ["--check"], Own);
        var first = fleet.UseRole("own", "host1", ["--extra-vars", "p11_kit_server_test=false"], Own);
        Assert.Equal(0, first.Recap("host1").Failed);
        Assert.Equal(first.Changed("host1"), check.Changed("host1"));
        Assert.DoesNotContain("Succeeded", first.Result.StdOut, StringComparison.Ordinal);
        var gone = fleet.UseRole("own", "host1", [], $"{Own}, p11_kit_server_state: absent");
        Assert.True(gone.Recap("host1") is { Failed: 0, Changed: 1 }, gone.ToString());
    }

    [Fact]
    public void The_role_brings_nothing_to_a_host_on_which_nothing_is_to_be_gone()
    {
        PlaybookRun Absent() => fleet.UseRole("gone", "host2", [], $"p11_kit_server_package: {FleetFixture.Package}, p11_kit_server_name: gone, p11_kit_server_state: absent");
        Assert.NotEmpty(fleet.Story);
        fleet.Host(2, "rm /usr/local/bin/hsmremote").Succeeded();
        var gone = Absent();
        Assert.True(gone.Recap("host2") is { Failed: 0, Changed: 0 }, gone.ToString());

        // It was linked again for what had to be taken away.
        fleet.Host(2, $"{SandboxFixture.ShellPath} -Command 'Install-P11KitServer gone'").Succeeded();
        gone = Absent();
        Assert.True(gone.Recap("host2") is { Failed: 0, Changed: 2 }, gone.ToString());
        Assert.NotEqual(0, fleet.Host(2, "ls /etc/gone /etc/systemd/system/gone.socket").ExitCode);
        gone = Absent();
        Assert.True(gone.Recap("host2") is { Failed: 0, Changed: 0 }, gone.ToString());
    }

    [Fact]
    public void Check_mode_borrows_HsmRemote_for_one_use_of_the_role_and_the_next_one_in_the_play_does_without()
    {
        Assert.NotEmpty(fleet.Story);
        var unpacked = fleet.Host(3, "dirname $(dirname $(readlink -f /usr/local/bin/hsmremote))").Succeeded();
        fleet.Host(3, $"mv {unpacked} /opt/away && ln -sfn /opt/away/shell/hsmremote /usr/local/bin/hsmremote").Succeeded();
        var check = fleet.UseRole(
            "twice", "host3", ["--check"], $"p11_kit_server_name: once, p11_kit_server_package: {FleetFixture.Package}", "p11_kit_server_name: twice, p11_kit_server_install: none");
        fleet.Host(3, $"mv /opt/away {unpacked} && ln -sfn {unpacked}/shell/hsmremote /usr/local/bin/hsmremote").Succeeded();
        Assert.True(check.Recap("host3") is { Failed: 0 }, check.ToString());
        Assert.Equal(2, check.Changed("host3").Count(task => task.EndsWith("Install the instance", StringComparison.Ordinal)));
    }

    [Fact]
    public void Values_reach_the_cmdlet_as_they_are()
    {
        Assert.NotEmpty(fleet.Story);
        const string Hostile = "it's ‘quoted’ $(id) `n \"x\" \\ ; %41";
        var refused = fleet.Controller("ansible", "host1", "-m", "hsmremote.p11kit.cmdlet", "-a", JsonSerializer.Serialize(
            new { name = "Get-P11KitServer", parameters = new { Name = Hostile } }, _plain));
        Assert.Contains(Hostile, JsonDocument.Parse(refused.StdOut[refused.StdOut.IndexOf('{', StringComparison.Ordinal)..]).RootElement.GetProperty("msg").GetString(), StringComparison.Ordinal);
    }

    [Fact]
    public void A_host_can_pull_its_playbook()
    {
        Assert.NotEmpty(fleet.Story);
        var pull = $"""
            cd /root
            if [ ! -d books ]; then
                mkdir -p books collections/ansible_collections/hsmremote
                ln -s '{SandboxFixture.RepositoryRoot}/deploy/ansible' collections/ansible_collections/hsmremote/p11kit
                cat >books/local.yml <<'EOF'
            - hosts: localhost
              connection: local
              gather_facts: false
              tasks:
                - hsmremote.p11kit.cmdlet:
                    name: Install-P11KitServer
                    parameters: [[ Name: pulled, TargetUri: ["pkcs11:token=host1-token"] ]]
                - hsmremote.p11kit.cmdlet:
                    name: Test-P11Socket
                    parameters: [[ Name: pulled, TimeoutSeconds: 60 ]]
            EOF
                cd books && git init --quiet && git add . && git -c user.name=root -c user.email=root@localhost commit --quiet -m books && cd ..
            fi
            ANSIBLE_COLLECTIONS_PATH=/root/collections ansible-pull --url /root/books --directory /root/checkout --inventory localhost, local.yml 2>&1
            """.Replace("[[", "{", StringComparison.Ordinal).Replace("]]", "}", StringComparison.Ordinal);
        foreach (var changed in new[] { 1, 0 })
        {
            var pulled = fleet.Host(1, pull).Succeeded();
            Assert.True(pulled.Contains($"ok=2    changed={changed}    unreachable=0    failed=0", StringComparison.Ordinal), pulled);
        }
    }

    [Fact]
    public void A_label_is_that_of_one_token_whatever_a_pattern_would_make_of_it()
    {
        Assert.NotEmpty(fleet.Story);
        const string label = "pat[1]*?`";
        var played = fleet.Host(2, $$$"""
            mkdir -p /root/labels/ansible_collections/hsmremote
            ln -s '{{{SandboxFixture.RepositoryRoot}}}/deploy/ansible' /root/labels/ansible_collections/hsmremote/p11kit
            for label in '{{{label}}}' 'PAT[1]*?`' 'pat1ab`'; do softhsm2-util --init-token --free --label "$label" --pin 1234 --so-pin 5678 >/dev/null; done
            cat >/root/labels/play.yml <<'EOF'
            - hosts: localhost
              connection: local
              gather_facts: false
              roles:
                - role: hsmremote.p11kit.p11_kit_server
                  vars:
                    p11_kit_server_install: none
                    p11_kit_server_name: labelled
                    p11_kit_server_token_label: '{{{label}}}'
                    p11_kit_server_test: false
            EOF
            ANSIBLE_COLLECTIONS_PATH=/root/labels ansible-playbook --inventory localhost, /root/labels/play.yml 2>&1
            hsmremote -Command '(Get-P11TargetUri labelled).Uri.Token'
            """).Succeeded();
        Assert.EndsWith($"\n{label}", played, StringComparison.Ordinal);
    }

    static readonly JsonSerializerOptions _plain = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    [GeneratedRegex(@"core 2\.(?<minor>\d+)", RegexOptions.ExplicitCapture, 1000)]
    private static partial Regex CoreVersion();

    [GeneratedRegex(@"(\\r)?\\n\s+\| ", RegexOptions.ExplicitCapture, 1000)]
    private static partial Regex FoldedLine();
}
