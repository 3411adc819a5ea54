using System.Diagnostics;
using System.Text;
using System.Text.RegularExpressions;

namespace HsmRemote.SystemTests;

/// <summary>A controller and four hosts, and what the playbooks of docs/ansible.md do to them: each with --check, then for real, then again.</summary>
/// <remarks>The fourth host is broken on purpose: whoever is not root cannot search the directories of its sockets.</remarks>
public sealed partial class FleetFixture : IAsyncLifetime
{
    /// <summary>The hosts that are as they should be.</summary>
    internal static readonly string[] GoodHosts = ["host1", "host2", "host3"];

    internal const string BrokenHost = "host4";

    static readonly TimeSpan _deadline = TimeSpan.FromMinutes(8);

    readonly string directory = Directory.CreateTempSubdirectory("fleet").FullName;
    readonly Lock isTold = new();
    readonly List<PlaybookRun> runs = [];
    Process? fleet;
    string? whyNot;
    string? failure;
    string[] ids = [];
    bool isOver;

    public async ValueTask InitializeAsync()
    {
        if (!File.Exists(Package))
        {
            whyNot = $"{Package} is not there; './build.sh Package' makes it.";
            return;
        }

        fleet = Process.Start(new ProcessStartInfo(Path.Combine(SandboxFixture.RepositoryRoot, "tests/fleet.sh"), ["4", directory])
        {
            UseShellExecute = false,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
        var errors = fleet.StandardError.ReadToEndAsync();
        if (await fleet.StandardOutput.ReadLineAsync() is not "ready")
        {
            await fleet.WaitForExitAsync();
            var reason = (await errors).Trim();
            if (fleet.ExitCode == 77)
                whyNot = reason;
            else
                failure = $"tests/fleet.sh failed with status {fleet.ExitCode}: {reason}";
            return;
        }

        ids = File.ReadAllLines(Path.Combine(directory, "ids"));
        Pin = File.ReadAllText(Path.Combine(directory, "pin")).Trim();
        WriteController();
    }

    public async ValueTask DisposeAsync()
    {
        if (fleet is not null)
        {
            fleet.StandardInput.Close();
            await fleet.WaitForExitAsync();
            fleet.Dispose();
        }

        Directory.Delete(directory, recursive: true);
    }

    /// <summary>All that was run, in order. The first test to ask has it run.</summary>
    internal IReadOnlyList<PlaybookRun> Story
    {
        get
        {
            if (whyNot is not null)
                Assert.Skip(whyNot);
            if (failure is not null)
                Assert.Fail(failure);
            lock (isTold)
            {
                if (!isOver)
                {
                    isOver = true;
                    Tell();
                }
            }

            return runs;
        }
    }

    /// <summary>One run of the story.</summary>
    internal PlaybookRun Run(string playbook, string turn)
    {
        Assert.SkipWhen(playbook is "module" && Pwsh is null, "pwsh is not installed: the module in the hosts' own PowerShell is NOT tested.");
        return Story.Single(run => string.Equals(run.Playbook, playbook, StringComparison.Ordinal) && string.Equals(run.Turn, turn, StringComparison.Ordinal));
    }

    /// <summary>PowerShell, installed or from NuGet; null where there is none.</summary>
    internal static string? Pwsh { get; } = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Append(Path.Combine(SandboxFixture.RepositoryRoot, "output/tools"))
        .Select(directory => Path.Combine(directory, "pwsh")).FirstOrDefault(File.Exists);

    /// <summary>The PIN of each host's token, which no other fleet has.</summary>
    internal string Pin { get; private set; } = "";

    /// <summary>Whether the PIN was seen where it has no business, and where.</summary>
    internal string Leaks { get; private set; } = "";

    /// <summary>What the watchers saw of a PIN that a process was given on purpose.</summary>
    internal string Caught { get; private set; } = "";

    /// <summary>How the hosts' files and units differed after the --check of each playbook.</summary>
    internal List<string> ChangedByCheck { get; } = [];

    internal static string Package => Path.Combine(SandboxFixture.RepositoryRoot, "output/packages/hsmremote-0.1.0-linux-x64.tar.gz");

    void WriteController()
    {
        var page = File.ReadAllText(Path.Combine(SandboxFixture.RepositoryRoot, "docs/ansible.md"));
        foreach (Match block in NamedBlock().Matches(page))
        {
            // A ladder that is cut short by a busy machine says something else.
            Write(block.Groups["name"].Value, Identity().Replace(block.Groups["text"].Value, "${before}${uid}${before}TimeoutSeconds: 60\n")
                .Replace("-Uid 5000", "-Uid 5000 -TimeoutSeconds 60", StringComparison.Ordinal)
                .Replace("output/packages/hsmremote-0.1.0-linux-x64.tar.gz", Package, StringComparison.Ordinal));
        }

        // A vault as it is: encrypted, and opened by a password in a file.
        Write("vault-password", "open sesame");
        Write("group_vars/edge.yml", $"vault_pin: {Pin}");
        Controller("ansible-vault", "encrypt", "group_vars/edge.yml").Succeeded();

        if (Pwsh is not null)
        {
            // One of NuGet's finds .NET by the variable, which no connection has.
            for (var host = 1; host <= 4; host++)
                Host(host, $"printf '#!/bin/sh\\nDOTNET_ROOT=%s exec {Pwsh} \"$@\"\\n' \"$DOTNET_ROOT\" >/usr/bin/pwsh; chmod 0755 /usr/bin/pwsh").Succeeded();
        }

        var broken = string.Join('\n', new[] { "edge", "cmdlets", "shell", "script", "module" }.Select(name =>
            $"mkdir -p /etc/systemd/system/{name}.socket.d && printf '[Socket]\\nDirectoryMode=0700\\n' >/etc/systemd/system/{name}.socket.d/closed.conf"));
        Host(4, broken).Succeeded();
    }

    void Tell()
    {
        using var watch = new Watch(this);
        foreach (var playbook in AnsibleTests.Playbooks.Select(row => row.Data).Where(playbook => playbook is not "module" || Pwsh is not null))
        {
            var before = States();
            runs.Add(Play(playbook, "check", "--check", "--diff"));
            var afterwards = States();
            for (var host = 1; host <= 4; host++)
            {
                var after = afterwards[host - 1];
                ChangedByCheck.AddRange(before[host - 1].Except(after, StringComparer.Ordinal).Concat(after.Except(before[host - 1], StringComparer.Ordinal))
                    .Select(line => $"{playbook}, host{host}: {line}"));
            }

            runs.Add(Play(playbook, "first", "--diff"));
            runs.Add(Play(playbook, "second"));
        }

        (Leaks, Caught) = watch.End();
    }

    /// <summary>Uses the role on a host, once for each row of variables, after the story.</summary>
    internal PlaybookRun UseRole(string name, string host, string[] options, params IEnumerable<string> variables)
    {
        Assert.NotEmpty(Story);
        var uses = variables.Select(row => $"    - ansible.builtin.include_role: {{ name: hsmremote.p11kit.p11_kit_server }}\n      vars: {{ {row} }}\n");
        Write($"{name}.yml", $"- hosts: {host}\n  gather_facts: false\n  tasks:\n{string.Concat(uses)}");
        return Play(name, "alone", options);
    }

    PlaybookRun Play(string playbook, string turn, params string[] options) =>
        new(playbook, turn, Controller("ansible-playbook", ["-vvv", $"{playbook}.yml", .. options]));

    internal CommandResult Controller(string program, params string[] arguments) => CommandResult.Of(
        _deadline, "", "env",
        [
            "-C", directory, "-u", "SSH_AUTH_SOCK", $"HOME={directory}", $"ANSIBLE_CONFIG={directory}/ansible.cfg", "ANSIBLE_NOCOLOR=1",
            $"ANSIBLE_VAULT_PASSWORD_FILE={directory}/vault-password", program, .. arguments,
        ]);

    internal CommandResult Host(int number, string script) =>
        CommandResult.Of(SandboxFixture.DefaultDeadline, "", SandboxFixture.Script, ["--enter", ids[number - 1], "bash", "-euo", "pipefail", "-c", script]);

    /// <summary>What check mode could have changed on each host, one line for each thing.</summary>
    string[][] States() => [.. Enumerable.Range(1, 4).AsParallel().AsOrdered().Select(State)];

    string[] State(int number) => Host(number, """
        for d in /etc /run /opt /usr/local /tmp /var/tmp; do
            find $d -xdev \( -path '/run/log*' -o -path '/run/systemd/*' -o -path '/run/user*' -o -path /run/sshd -o -path '*/tmp/systemd-private*' \) -prune \
                -o -type f -printf '%p %y %m %u %g %s\n' -o -printf '%p %y %m %u %g %l\n'
        done | LC_ALL=C sort
        systemctl list-unit-files --no-legend --plain | tr -s ' '
        dpkg-query --show
        """).Succeeded().Split('\n');

    void Write(string name, string content)
    {
        var path = Path.Combine(directory, name);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllText(path, content);
    }

    [GeneratedRegex("^(?<before> +)(?<uid>Uid: 5000\n)", RegexOptions.Multiline | RegexOptions.ExplicitCapture, 1000)]
    private static partial Regex Identity();

    // The first line of a block that is a file names it.
    [GeneratedRegex("```(yaml|powershell)\n# (?<name>\\S+)\n(?<text>.*?)```", RegexOptions.Singleline | RegexOptions.ExplicitCapture, 1000)]
    private static partial Regex NamedBlock();

    /// <summary>Looks for the PIN in the arguments and the environment of every process, on each host and on the controller, until it is ended.</summary>
    sealed class Watch : IDisposable
    {
        // The pattern is in a file, or the watcher would find itself.
        const string Script = """
            while [ -e "$1/watching" ]; do
                grep --text --files-with-matches --no-messages --fixed-strings --file "$1/pattern" /proc/[0-9]*/cmdline /proc/[0-9]*/environ >>"$1/seen" || true
                sleep 0.2
            done
            """;

        readonly FleetFixture fleet;
        readonly string here = Directory.CreateTempSubdirectory("watch").FullName;
        readonly List<Task<CommandResult>> watchers = [];

        internal Watch(FleetFixture fleet)
        {
            this.fleet = fleet;
            File.WriteAllText(Path.Combine(here, "pattern"), fleet.Pin);
            File.WriteAllText(Path.Combine(here, "watching"), "");
            File.WriteAllText(Path.Combine(here, "seen"), "");
            // The controller sees the hosts' processes as well.
            watchers.Add(Task.Run(() => CommandResult.Of(TimeSpan.FromHours(1), "", "bash", ["-c", Script, "watch", here])));
        }

        /// <summary>What was seen, and what a process with the PIN in its arguments gave away.</summary>
        internal (string Leaks, string Caught) End()
        {
            var seen = Path.Combine(here, "seen");
            var leaks = new StringBuilder(File.ReadAllText(seen));
            for (var host = 1; host <= 4; host++)
            {
                leaks.Append(fleet.Host(host, $$"""
                    journalctl --no-pager --output cat | grep --text --fixed-strings {{fleet.Pin}} || true
                    find /etc /root /run /tmp /var/log /var/tmp -xdev -type f -newer /etc/machine-id -exec grep --text --files-with-matches --no-messages --fixed-strings {{fleet.Pin}} {} + || true
                    """).Succeeded());
            }

            using (var careless = Process.Start("sh", ["-c", $"sleep 30; : {fleet.Pin}"]))
            {
                for (var i = 0; i < 600 && File.ReadAllText(seen).Length == 0; i++)
                    Thread.Sleep(50);
                careless.Kill(entireProcessTree: true);
                careless.WaitForExit();
            }

            return (leaks.ToString(), File.ReadAllText(seen));
        }

        public void Dispose()
        {
            File.Delete(Path.Combine(here, "watching"));
            Task.WaitAll([.. watchers]);
            Directory.Delete(here, recursive: true);
        }
    }
}

/// <summary>What ansible-playbook said of one run.</summary>
internal sealed partial record PlaybookRun(string Playbook, string Turn, CommandResult Result)
{
    /// <summary>The names of the tasks that changed something on a host or, in check mode, would.</summary>
    internal string[] Changed(string host)
    {
        List<string> changed = [];
        var task = "";
        foreach (var line in Result.StdOut.Split('\n'))
        {
            if (TaskLine().Match(line) is { Success: true } match)
                task = match.Groups["name"].Value;
            else if (line.StartsWith($"changed: [{host}]", StringComparison.Ordinal))
                changed.Add(task);
        }

        return [.. changed];
    }

    /// <summary>The changed= and failed= of a host in the recap.</summary>
    internal (int Changed, int Failed, int Unreachable) Recap(string host)
    {
        var line = RecapLine().Matches(Result.StdOut).SingleOrDefault(m => string.Equals(m.Groups["host"].Value, host, StringComparison.Ordinal));
        if (line is null)
            Assert.Fail($"{host} is not in the recap. {this}");
        return (Number("changed"), Number("failed"), Number("unreachable"));

        int Number(string name) => int.Parse(line.Groups[name].Value);
    }

    [GeneratedRegex(@"^TASK \[(?<name>.*)\] \**$", RegexOptions.ExplicitCapture, 1000)]
    private static partial Regex TaskLine();

    [GeneratedRegex(@"^(?<host>host\d)\s+: ok=\d+\s+changed=(?<changed>\d+)\s+unreachable=(?<unreachable>\d+)\s+failed=(?<failed>\d+)", RegexOptions.ExplicitCapture | RegexOptions.Multiline, 1000)]
    private static partial Regex RecapLine();

    public override string ToString() => $"{Playbook}, {Turn}: {Result}";
}
