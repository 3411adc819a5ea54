using System.Diagnostics;

namespace HsmRemote.SystemTests;

/// <summary>That the sandbox is the system that the other tests take it for, and leaves no trace.</summary>
public sealed class SandboxTests(SandboxFixture sandbox)
{
    [Fact]
    public void Systemd_runs() => Assert.Equal("systemd", sandbox.Run("cat", "/proc/1/comm").Succeeded());

    [Fact]
    public void The_managers_D_Bus_interface_answers()
    {
        var reply = sandbox.Run(
            "busctl", "call", "org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager",
            "GetUnit", "s", "dbus.socket");
        Assert.Contains("/org/freedesktop/systemd1/unit/dbus_2esocket", reply.Succeeded(), StringComparison.Ordinal);
    }

    [Fact]
    public void The_journal_keeps_what_a_unit_writes()
    {
        sandbox.Run("systemd-run", "--wait", "--unit=sandbox-journal", "echo", "written by a unit").Succeeded();
        sandbox.Run("journalctl", "--sync").Succeeded();
        var journal = sandbox.Run("journalctl", "--unit=sandbox-journal", "--output=cat").Succeeded();
        Assert.Contains("written by a unit", journal, StringComparison.Ordinal);
    }

    [Fact]
    public void A_connection_starts_a_confined_service()
    {
        sandbox.WriteFile("/etc/systemd/system/sandbox-confined.socket", """
            [Socket]
            ListenStream=/run/sandbox-confined/socket
            Accept=yes
            """);
        sandbox.WriteFile("/etc/systemd/system/sandbox-confined@.service", """
            [Service]
            ExecStart=/usr/bin/bash -c 'cat; touch /usr/not-writable || echo refused; ls /dev/sda /dev/vda || echo no disk'
            StandardInput=socket
            StandardOutput=socket
            StandardError=journal
            NoNewPrivileges=yes
            CapabilityBoundingSet=
            ProtectSystem=strict
            ProtectHome=yes
            PrivateTmp=yes
            PrivateDevices=yes
            PrivateNetwork=yes
            ProtectKernelTunables=yes
            ProtectKernelModules=yes
            ProtectKernelLogs=yes
            ProtectControlGroups=yes
            ProtectClock=yes
            ProtectHostname=yes
            ProtectProc=invisible
            ProcSubset=pid
            RestrictNamespaces=yes
            RestrictRealtime=yes
            RestrictSUIDSGID=yes
            RestrictAddressFamilies=AF_UNIX
            LockPersonality=yes
            MemoryDenyWriteExecute=yes
            SystemCallArchitectures=native
            SystemCallFilter=@system-service
            """);
        sandbox.Shell("systemctl daemon-reload; systemctl start sandbox-confined.socket").Succeeded();
        var answer = sandbox.Run(
            SandboxFixture.DefaultDeadline, "hello\n", "socat", "-t120", "-", "UNIX-CONNECT:/run/sandbox-confined/socket");
        Assert.Equal(["hello", "refused", "no disk"], answer.Succeeded().Split('\n'));
    }

    [Fact]
    public void A_token_in_it_signs_and_openssl_verifies()
    {
        var token = sandbox.CreateToken("sandbox-signs");
        var verdict = sandbox.Shell($"""
            cd "$(mktemp -d)"
            pkcs11="pkcs11-tool --module {SoftHsmToken.Module} --token-label {token.Label}"
            echo message >message
            openssl dgst -sha256 -binary -out digest message
            $pkcs11 --login --pin {token.Pin} --sign --mechanism ECDSA --signature-format openssl --id 01 \
                --input-file digest --output-file signature
            $pkcs11 --read-object --type pubkey --id 01 --output-file key.der
            openssl pkey -pubin -inform DER -in key.der -out key.pem
            openssl dgst -sha256 -verify key.pem -signature signature message
            """);
        Assert.EndsWith("Verified OK", verdict.Succeeded(), StringComparison.Ordinal);
    }

    [Fact]
    public void PowerShell_runs_in_it_and_its_objects_come_back()
    {
        var result = sandbox.HsmRemote("[pscustomobject]@{ User = [Environment]::UserName; Answer = 6 * 7 }").SucceededWithOne();
        Assert.Equal("root", result.GetProperty("User").GetString());
        Assert.Equal(42, result.GetProperty("Answer").GetInt32());
    }

    [Fact]
    public void What_changes_in_it_does_not_change_the_machine()
    {
        var name = $"sandbox-{Guid.NewGuid():N}";
        foreach (var directory in (string[])["/etc", "/run", "/tmp", "/var/tmp", "/usr/local/bin"])
        {
            sandbox.WriteFile($"{directory}/{name}", "only in the sandbox");
            Assert.False(File.Exists($"{directory}/{name}"));
        }

        Assert.NotEqual(0, sandbox.Run("touch", Path.Combine(SandboxFixture.RepositoryRoot, name)).ExitCode);
        Assert.Equal("lo", sandbox.Run("ls", "/sys/class/net").Succeeded());
    }

    [Fact]
    public void A_command_gets_its_input_and_gives_its_status()
    {
        var result = sandbox.Run(SandboxFixture.DefaultDeadline, "üñí", "bash", "-c", "cat; echo gone >&2; exit 5");
        Assert.Equal((5, "üñí", "gone\n"), (result.ExitCode, result.StdOut, result.StdErr));
    }

    [Fact]
    public void A_command_that_takes_too_long_is_ended()
    {
        Assert.Throws<TimeoutException>(() => sandbox.Run(TimeSpan.FromSeconds(0.5), "", "sleep", "98765"));
        Assert.NotEqual(0, sandbox.Run("pgrep", "--full", "sleep 98765").ExitCode);
    }

    [Fact]
    public async Task Nothing_is_left_of_one_that_is_killed()
    {
        sandbox.Run("true").Succeeded();
        var start = new ProcessStartInfo(SandboxFixture.Script, ["--hold"])
        {
            UseShellExecute = false,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
        };
        using var killed = Process.Start(start)!;
        var id = await killed.StandardOutput.ReadLineAsync(TestContext.Current.CancellationToken);
        var processes = DescendantsOf(killed.Id);
        Assert.Contains(int.Parse(id!), processes);

        killed.Kill();

        // The kernel does it at its own pace, and the machine's init has to reap the orphans.
        var deadline = Stopwatch.StartNew();
        string[] left;
        do
        {
            await Task.Delay(50, TestContext.Current.CancellationToken);
            left = [.. processes.Where(IsRunning).Select(pid => $"process {pid}"), .. ControlGroupsOf(killed.Id), .. Mounts()];
        }
        while (left.Length > 0 && deadline.Elapsed < TimeSpan.FromMinutes(1));

        Assert.Empty(left);
    }

    [Fact]
    public void It_says_why_it_cannot_run()
    {
        sandbox.Run("true").Succeeded();
        var result = CommandResult.Of(
            SandboxFixture.DefaultDeadline, "", "setpriv", ["--bounding-set=-sys_admin", "--", SandboxFixture.Script, "true"]);
        Assert.Equal(77, result.ExitCode);
        Assert.StartsWith("sandbox.sh: cannot run here: ", result.StdErr, StringComparison.Ordinal);
    }

    private static List<int> DescendantsOf(int pid)
    {
        try
        {
            var children = File.ReadAllText($"/proc/{pid}/task/{pid}/children")
                .Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(int.Parse).ToList();
            return [.. children, .. children.SelectMany(DescendantsOf)];
        }
        catch (IOException)
        {
            // It has ended since it was listed.
            return [];
        }
    }

    private static bool IsRunning(int pid)
    {
        try
        {
            // The state follows the name, which is in parentheses. A zombie is only waiting to be reaped.
            var stat = File.ReadAllText($"/proc/{pid}/stat");
            return stat[stat.LastIndexOf(')') + 2] != 'Z';
        }
        catch (IOException)
        {
            return false;
        }
    }

    private static IEnumerable<string> ControlGroupsOf(int pid) =>
        Directory.EnumerateDirectories("/sys/fs/cgroup", $"hsmremote-sandbox-{pid}", new EnumerationOptions
        {
            RecurseSubdirectories = true,
            IgnoreInaccessible = true,
            AttributesToSkip = FileAttributes.ReparsePoint,
        });

    private static IEnumerable<string> Mounts() =>
        File.ReadLines("/proc/self/mounts").Where(line => line.Contains("/run/sandbox/", StringComparison.Ordinal));
}
