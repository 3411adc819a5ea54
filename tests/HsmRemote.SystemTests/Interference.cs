namespace HsmRemote.SystemTests;

/// <summary>A sandbox of its own, in which hsmremote is killed, or a call of its fails, at each call that changes something.</summary>
sealed class Interference : IAsyncDisposable
{
    const string Library = "/opt/interfere.so";
    const string Log = "/opt/interfere.log";
    const string Name = "crash";

    // Whole trees, without what systemd writes by itself and the backups that groupadd and groupdel make. The group files
    // are sorted: a group that is put back comes last. A server that makes its socket by itself is waited for, and the end
    // of a connection that was closed. The lock of a group that the instance has no more stays, held by nobody, when a run
    // is killed: none of its later runs takes it. systemctl makes its columns as wide as any unit of the host needs, so
    // their width is none of the instance's.
    const string SnapshotScript = $$"""
        export XDG_RUNTIME_DIR=/run/user/0
        while pgrep -x 'systemd-sysuser|groupdel|groupadd|systemd-analyze|hsmremote|\.NET.*' >/dev/null || [ "$(systemctl list-jobs --no-legend)" ]; do sleep 0.01; done
        until ! systemctl -q is-active {{Name}}.service || [ -S /run/{{Name}}/pkcs11 ]; do sleep 0.01; done
        for i in {1..300}; do [ "$(systemctl list-units --all --plain --no-legend '{{Name}}*@*')" ] || break; sleep 0.1; done
        cd /
        find etc run -xdev \( -path run/systemd -o -path run/log -o -path run/utmp -o -path run/host -o -path run/credentials -o -path etc/group -o -path etc/gshadow \
            -o -path etc/group- -o -path etc/gshadow- -o -name .pwd.lock -o -name '.hsmremote-@*.lock' \) -prune -o -printf '%p %y %m %U %G %l\n' | sort
        find root/.config run/user/0/{{Name}}* -printf '%p %y %m %U %G %l\n' 2>/dev/null | sort || true
        echo '--- content'
        find etc root/.config -xdev -type f ! -name 'group*' ! -name 'gshadow*' ! -name .pwd.lock -print0 | sort -z | xargs -0 cksum
        echo '--- groups'
        sort etc/group etc/gshadow
        echo '--- units'
        systemctl list-unit-files --plain --no-legend | grep {{Name}} | tr -s ' ' || true
        systemctl list-units --all --plain --no-legend | grep {{Name}} | tr -s ' ' | sort || true
        systemctl show -P NeedDaemonReload -P ActiveState {{Name}}.socket
        systemctl --user list-units --all --plain --no-legend | grep {{Name}} | tr -s ' ' | sort || true
        systemctl --user show -P NeedDaemonReload -P ActiveState {{Name}}.socket
        """;

    const string ResetScript = $"""
        export XDG_RUNTIME_DIR=/run/user/0
        for whose in --system --user; do systemctl $whose stop '{Name}*' 'system-{Name}*.slice' 'app-{Name}*.slice' 2>/dev/null || true; done
        rm -rf /etc/systemd/system /etc/{Name}* /run/{Name}* /run/.hsmremote-* /root/.config/systemd /root/.config/{Name} /run/user/0/{Name}* /run/user/0/.hsmremote-*
        tar -xpf /opt/before.tar -C /
        for whose in --system --user; do systemctl $whose daemon-reload; systemctl $whose reset-failed; done
        systemctl start $(cat /opt/started)
        """;

    readonly SandboxFixture sandbox = new();

    internal sealed record State(string Text)
    {
        /// <summary>Without what a killed run may leave until the next: files being written, the lock.</summary>
        internal string Settled => string.Join('\n', Text.Split('\n').Where(line => !IsLeftover(line)));

        internal bool HasLeftovers => Text.Split('\n').Any(IsLeftover);

        static bool IsLeftover(string line) => line.Contains(".hsmremote", StringComparison.Ordinal);
    }

    /// <summary>Boots, and brings what is to be before the command.</summary>
    internal static async Task<Interference> StartAsync(string setUp)
    {
        var library = Path.Combine(Path.GetTempPath(), $"hsmremote-interfere-{Guid.NewGuid()}.so");
        try
        {
            CommandResult.Of(
                SandboxFixture.DefaultDeadline, "", "gcc",
                ["-shared", "-fPIC", "-O1", "-o", library, Path.Combine(SandboxFixture.RepositoryRoot, "tests/HsmRemote.SystemTests/interfere.c"), "-ldl"]).Succeeded();
            var made = new Interference();
            await made.sandbox.InitializeAsync();
            var bytes = Convert.ToBase64String(File.ReadAllBytes(library));
            made.sandbox.Run(SandboxFixture.DefaultDeadline, bytes, "bash", "-c", $"base64 -d >{Library}").Succeeded();
            made.sandbox.Shell("systemctl start user@0.service; mkdir -p /root/.config; rm -rf /root/.config/systemd").Succeeded();
            if (setUp.Length > 0)
                made.sandbox.HsmRemote(setUp).Succeeded();
            made.sandbox.Shell($"systemctl list-units --plain --no-legend --state=active {Name}.socket {Name}.service | cut -d ' ' -f 1 >/opt/started; echo dbus.socket >>/opt/started").Succeeded();
            made.sandbox.Shell($"tar -cf /opt/before.tar -C / etc/systemd/system etc/group etc/gshadow $(cd /; ls -d etc/{Name} || true)").Succeeded();
            return made;
        }
        finally
        {
            File.Delete(library);
        }
    }

    internal State Snapshot() => new(sandbox.Look(SnapshotScript));

    internal void Reset() => sandbox.Shell(ResetScript).Succeeded();

    /// <summary>Runs a command without interference, and gives the calls that it made.</summary>
    internal IReadOnlyList<string> Count(string command)
    {
        Run(command, "none", 0).Succeeded();
        return sandbox.Shell($"cat {Log}; rm {Log}").Succeeded().Split('\n');
    }

    internal CommandResult Run(string command, string interference, int at) => sandbox.Run(
        "env", $"LD_PRELOAD={Library}", $"INTERFERE_LOG={Log}", $"INTERFERE={interference}", $"INTERFERE_AT={at}",
        SandboxFixture.ShellPath, "-NoProfile", "-NonInteractive", "-Command", command);

    public ValueTask DisposeAsync() => sandbox.DisposeAsync();
}
