using System.Text.Json;

namespace HsmRemote.SystemTests;

/// <summary>Sockets that travel, over real ssh between two hosts: what lasts, who may connect, and what is left behind.</summary>
public sealed class ForwardTests(TwoHosts hosts) : IClassFixture<TwoHosts>
{
    const string Far = TwoHosts.FarAddress;

    [Fact]
    public void A_container_on_another_host_signs_through_drops_and_restarts()
    {
        var containers = new ContainerHost(hosts.Far);
        const string Socket = "/run/away/pkcs11";
        const string Connected = "grep -q State=Connected /run/p11-forward-away/state";
        var command = $"New-P11SocketForward edge {Far} -RemotePath {Socket} -Group hsm -ForwardName away -Persist";
        Assert.True(hosts.HsmRemote(command).SucceededWithOne().GetProperty("Changed").GetBoolean());

        // Who may connect is decided by the mode and the group of the socket over there.
        Assert.Equal($"660 0:{TwoHosts.GroupId}", hosts.Far.Shell($"stat -c '%a %u:%g' {Socket}").Succeeded());
        var run = $"podman run --rm --network=none --user 5000:5000 --volume /run/away:/run/away --env P11_KIT_SERVER_ADDRESS=unix:path={Socket}";
        string InContainer(string groups, string script) => $"{run} {groups} {ContainerHost.Image} sh -c {ContainerHost.Quote(script)}";
        Assert.Contains("Verified OK", hosts.Far.Shell(InContainer($"--group-add {TwoHosts.GroupId}", ContainerHost.Sign(hosts.Token))).Succeeded(), StringComparison.Ordinal);
        Assert.DoesNotContain("pkcs11:", hosts.Far.Shell(InContainer("", ContainerHost.List)).StdOut, StringComparison.Ordinal);

        // The second time there is nothing to do, and the connection stays.
        var process = One("away").GetProperty("ProcessId").GetInt32();
        var again = hosts.HsmRemote(command).SucceededWithOne();
        Assert.False(again.GetProperty("Changed").GetBoolean(), again.ToString());
        Assert.Equal(process, One("away").GetProperty("ProcessId").GetInt32());

        // A container that stays has mounted the directory, which outlives every connection.
        hosts.Far.Shell($"podman run --detach --network=none --name stays --user 5000:5000 --group-add {TwoHosts.GroupId} --volume /run/away:/run/away --env P11_KIT_SERVER_ADDRESS=unix:path={Socket} {ContainerHost.Image}").Succeeded();
        var list = $"podman exec stays {ContainerHost.List}";
        hosts.UntilTokenIsSeen(list);

        hosts.SetLink(up: false);
        Thread.Sleep(TimeSpan.FromSeconds(30));
        hosts.SetLink(up: true);
        hosts.UntilTokenIsSeen(list);
        hosts.Near.WaitFor(Connected);
        Assert.Equal("Connected", One("away").GetProperty("State").GetString());

        // This end is killed: systemd starts it again, and it takes its own socket back.
        hosts.Near.Shell("systemctl kill --kill-whom=all -s KILL p11-forward-away.service").Succeeded();
        hosts.UntilTokenIsSeen(list);

        // The other end is killed with all that it had: what it leaves is stale.
        hosts.Far.Shell($"pkill -KILL -f -- '-- [h]old {Socket}'; pkill -KILL -x sshd; while pgrep -x sshd >/dev/null; do sleep 0.1; done; test -S {Socket}").Succeeded();
        hosts.StartSshd();
        hosts.UntilTokenIsSeen(list);
        hosts.Near.WaitFor(Connected);
        var test = hosts.HsmRemote("Test-P11SocketForward away").SucceededWithOne();
        Assert.True(test.GetProperty("Succeeded").GetBoolean(), test.ToString());

        // Fifty at a time: each reads the key, and signs with it. Only the second may be tried again: SoftHSM writes the token's file at
        // each login, and takes a token whose file it reads meanwhile for none, 20 times in 1,000 without any forward.
        var crowd = hosts.Far.Shell($$"""
            cd "$(mktemp -d)"; head -c 32 /dev/urandom >digest
            export P11_KIT_SERVER_ADDRESS=unix:path={{Socket}}
            tool() { pkcs11-tool --module {{ContainerHost.Client}} --token-label {{hosts.Token.Label}} --id 01 "$@" >>log.$i 2>&1; }
            for i in $(seq 50); do tool --read-object --type pubkey --output-file key.$i & done
            wait
            for i in $(seq 50); do
                for t in 1 2 3 4 5; do tool --login --pin {{hosts.Token.Pin}} --sign --mechanism ECDSA --input-file digest --output-file signature.$i && break; done &
            done
            wait
            sha256sum key.* | cut -d ' ' -f 1 | sort | uniq -c | cut -c 1-8; find . -name 'signature.*' -size +60c | wc -l; cat log.* | sort | uniq -c | sort -rn | head -5
            """).Succeeded().Split('\n', StringSplitOptions.TrimEntries);
        Assert.True(crowd is ["50", "50", ..], string.Join('\n', crowd));

        hosts.HsmRemote("Remove-P11SocketForward away").SucceededWithOne();
        Assert.Equal("", Leftovers("away"));
        Assert.Equal("", hosts.Far.Shell("ls -d /run/away 2>/dev/null || true").Succeeded());
        Assert.False(hosts.HsmRemote("Remove-P11SocketForward away").SucceededWithOne().GetProperty("Changed").GetBoolean());
    }

    [Fact]
    public void A_socket_of_the_far_side_appears_here_and_leaves_nothing()
    {
        _ = hosts.Token;
        var deep = hosts.Far.CreateToken("deep");
        hosts.Far.HsmRemote($"Install-P11KitServer deep -TargetUri '{deep.Uri}'").SucceededWithOne();
        hosts.HsmRemote($"New-P11SocketForward -HostName {Far} -Direction Pull -RemotePath /run/deep/pkcs11 -ForwardName pulled -SocketMode 0666").SucceededWithOne();
        var socket = One("pulled").GetProperty("SocketPath").GetString()!;
        Assert.Equal("666 0:0", hosts.Near.Shell($"stat -c '%a %u:%g' {socket}").Succeeded());

        // Test-P11Socket knows where it comes from.
        var test = hosts.HsmRemote($"Test-P11Socket -SocketPath {socket} -Uid 5000 -Gid 5000").SucceededWithOne();
        Assert.True(test.GetProperty("Succeeded").GetBoolean(), test.ToString());
        Assert.Equal(["Tunnel", "RemoteEnd", "Path"], test.GetProperty("Checks").EnumerateArray().Take(3).Select(check => check.GetProperty("Name").GetString()!));
        Assert.Equal("deep", test.GetProperty("Tokens")[0].GetProperty("Label").GetString());

        // It moves, and takes along the directory that it made.
        foreach (var path in (string[])["/run/pulla/pkcs11", "/run/pullb/pkcs11"])
            hosts.HsmRemote($"New-P11SocketForward -HostName {Far} -Direction Pull -RemotePath /run/deep/pkcs11 -SocketPath {path} -ForwardName pulled").SucceededWithOne();
        Assert.Equal("/run/pullb/pkcs11", hosts.Near.Shell("ls -d /run/pulla /run/pullb/pkcs11 2>/dev/null || true").Succeeded());

        // The server over there stops, and the ladder says where.
        hosts.Far.Shell("systemctl stop deep.socket").Succeeded();
        Cause("Test-P11SocketForward pulled", "RemoteNotAnswering", "RemoteEnd");
        hosts.HsmRemote("Remove-P11SocketForward pulled").SucceededWithOne();
        Assert.Equal("", Leftovers("pulled"));
        Assert.Equal("", hosts.Near.Shell("ls -d /run/pull* 2>/dev/null || true").Succeeded());
    }

    [Fact]
    public void The_ladder_names_what_is_wrong_between_two_hosts()
    {
        hosts.StartSshd(2210, "-o PidFile=/run/sshd2210.pid");
        var forward = $"New-P11SocketForward edge {Far} -Port 2210 -RemotePath /run/ladder.p11 -ForwardName ladder";
        hosts.HsmRemote(forward).SucceededWithOne();
        var away = hosts.Far.HsmRemote("Test-P11Socket -SocketPath /run/ladder.p11").SucceededWithOne();
        Assert.True(away.GetProperty("Succeeded").GetBoolean(), away.ToString());
        Assert.Contains(away.GetProperty("Checks").EnumerateArray(), check => check.GetProperty("Name").GetString() is "RemoteEnd");

        // The server of the token stops: it is seen from both ends.
        hosts.Near.Shell("systemctl stop edge.socket").Succeeded();
        Cause("Test-P11SocketForward ladder", "RemoteNotAnswering", "Peer");
        var seen = hosts.Far.HsmRemote("Test-P11Socket -SocketPath /run/ladder.p11").SucceededWithOne();
        Assert.Equal("RemoteNotAnswering", seen.GetProperty("Cause").GetString());
        hosts.Near.Shell("systemctl start edge.socket").Succeeded();

        // Somebody removes the socket.
        hosts.Far.Shell("rm /run/ladder.p11").Succeeded();
        Cause("Test-P11SocketForward ladder", "StaleForward", "RemoteEnd");

        hosts.Near.Shell("systemctl stop p11-forward-ladder").Succeeded();
        Cause("Test-P11SocketForward ladder", "TunnelStopped", "Tunnel");

        // sshd does not come back.
        hosts.Far.Shell("kill \"$(cat /run/sshd2210.pid)\"").Succeeded();
        hosts.Near.Shell("systemctl start p11-forward-ladder").Succeeded();
        Cause("Test-P11SocketForward ladder", "FarSideUnreachable", "RemoteEnd");

        // Another machine answers in its place.
        hosts.Far.Shell("ssh-keygen -q -t ed25519 -N '' -f /run/other_key").Succeeded();
        hosts.RunSshd(2210, "-o HostKey=/run/other_key -o PidFile=/run/sshd2210.pid");
        hosts.Near.Shell("systemctl stop p11-forward-ladder; systemctl start p11-forward-ladder").Succeeded();
        Cause("Test-P11SocketForward ladder", "HostKeyChanged", "RemoteEnd");
        Error(forward, "HostKeyChanged", "ssh-keygen -f");
        hosts.HsmRemote("Remove-P11SocketForward ladder").SucceededWithOne();
        hosts.Far.Shell("kill \"$(cat /run/sshd2210.pid)\"").Succeeded();
    }

    [Fact]
    public void What_is_in_the_way_is_asked_before_it_is_removed()
    {
        _ = hosts.Token;
        hosts.Far.LeaveSocket("/tmp/stale.p11");
        hosts.Far.Shell("""
            (setsid socat -t 30 UNIX-LISTEN:/tmp/live.p11,fork EXEC:cat >/dev/null 2>&1 &)
            echo precious >/tmp/file.p11; ln -s /tmp/file.p11 /tmp/link.p11; install -d -m 0777 /run/open
            # A listener that /proc/net/unix does not show here: it is in another network namespace.
            (setsid unshare --net socat -t 30 UNIX-LISTEN:/tmp/hidden.p11,fork EXEC:cat >/dev/null 2>&1 &)
            until test -S /tmp/live.p11 -a -S /tmp/hidden.p11; do sleep 0.1; done
            """).Succeeded();
        Error($"New-P11SocketForward edge {Far} -RemotePath /tmp/live.p11", "ForwardPathInUse", "ss -xlp");
        Error($"New-P11SocketForward edge {Far} -RemotePath /tmp/hidden.p11", "ForwardPathInUse", "ss -xlp");
        // Who may not connect cannot tell either.
        MakeFarUser("plain", "/bin/sh");
        Error($"New-P11SocketForward edge {Far} -User plain -RemotePath /tmp/hidden.p11", "ForwardPathUnclear", "cannot be found out");
        Error($"New-P11SocketForward edge {Far} -RemotePath /tmp/file.p11", "ForwardPathTaken", "not touched");
        Error($"New-P11SocketForward edge {Far} -RemotePath /tmp/link.p11", "ForwardPathTaken", "symbolic link");
        Error($"New-P11SocketForward edge {Far} -RemotePath /run/open/pkcs11", "ForwardDirectoryUnusable", "chmod +t");
        Error($"New-P11SocketForward edge {Far} -RemotePath /nowhere/at/all", "ForwardDirectoryUnusable", "mkdir");
        Error($"New-P11SocketForward edge {Far} -RemotePath /tmp/owned.p11 -Owner nosuchuser", "ForwardAccountUnusable", "nosuchuser");
        Error($"New-P11SocketForward edge {Far} -RemotePath '/tmp/a b'", "ForwardPathInvalid", "absolute");
        Assert.Equal("precious", hosts.Far.Shell("cat /tmp/file.p11; test -L /tmp/link.p11").Succeeded());
        Assert.Contains("hello", hosts.Far.Shell("echo hello | socat -t 30 - UNIX-CONNECT:/tmp/live.p11; echo hello | socat -t 30 - UNIX-CONNECT:/tmp/hidden.p11").Succeeded(), StringComparison.Ordinal);

        var stale = hosts.HsmRemote($"New-P11SocketForward edge {Far} -RemotePath /tmp/stale.p11 -ForwardName stale -Owner nobody -SocketMode 0600").SucceededWithOne();
        Assert.True(stale.GetProperty("Changed").GetBoolean());
        Assert.Equal("600 nobody", hosts.Far.Shell("stat -c '%a %U' /tmp/stale.p11").Succeeded());
        Assert.Contains("token=edge", hosts.Far.Shell($"setpriv --reuid nobody --clear-groups bash -c '{TwoHosts.List("/tmp/stale.p11")}'").Succeeded(), StringComparison.Ordinal);

        // What would be done to it is asked without doing it.
        var what = hosts.HsmRemote($"New-P11SocketForward edge {Far} -RemotePath /tmp/other.p11 -ForwardName stale -Persist -WhatIf").SucceededWithOne();
        Assert.True(what.GetProperty("Changed").GetBoolean());
        Assert.Equal("/tmp/stale.p11", One("stale").GetProperty("RemotePath").GetString());
        Assert.Equal("", hosts.Far.Shell("ls /tmp/other.p11* 2>/dev/null || true").Succeeded());
        // And it moves, from where it ends with the machine to where it does not, and takes along what it made.
        hosts.HsmRemote($"New-P11SocketForward edge {Far} -RemotePath /run/made/pkcs11 -ForwardName stale").SucceededWithOne();
        Assert.Equal("", hosts.Far.Shell("ls /tmp/stale.p11 2>/dev/null || true").Succeeded());
        hosts.HsmRemote($"New-P11SocketForward edge {Far} -RemotePath /tmp/other.p11 -ForwardName stale -Persist").SucceededWithOne();
        Assert.Equal("/etc/systemd/system/p11-forward-stale.service enabled", hosts.Near.Shell("ls /run/systemd/system/p11-forward-stale.service /etc/systemd/system/p11-forward-stale.service 2>/dev/null | tr '\\n' ' ' || true; systemctl is-enabled p11-forward-stale").Succeeded());
        Assert.Equal("", hosts.Far.Shell("ls -d /run/made 2>/dev/null || true").Succeeded());
        hosts.HsmRemote("Get-P11SocketForward stale | Remove-P11SocketForward").SucceededWithOne();
        Assert.Equal("", Leftovers("stale"));
    }

    [Fact]
    public void What_a_cut_link_leaves_on_the_far_side_is_named_or_removed()
    {
        const string Socket = "/run/cut.p11";
        const string Remains = $"ls {Socket} 2>/dev/null || true; pgrep -f -- '-- [h]old {Socket} ' || true";
        var forward = $"New-P11SocketForward edge {Far} -RemotePath {Socket} -ForwardName cut";
        hosts.HsmRemote(forward).SucceededWithOne();
        hosts.SetLink(up: false);
        var removed = hosts.HsmRemote("Remove-P11SocketForward cut -WarningVariable said; \"$said\"").Succeeded();
        Assert.True(removed[0].GetProperty("Changed").GetBoolean());
        Assert.Equal("", Leftovers("cut"));
        hosts.MendLinkAs("10.99.0.3");
        Assert.NotEqual("", hosts.Far.Shell(Remains).Succeeded());
        var warning = removed[1].GetString()!;
        Assert.Contains($"whether {Socket} is still listened on", warning, StringComparison.Ordinal);
        hosts.Near.Shell(warning.Split('`')[1]).Succeeded();
        hosts.Far.WaitFor($"test -z \"$({Remains})\"");

        // When it can be reached again, what is left goes with the forward.
        hosts.HsmRemote(forward).SucceededWithOne();
        hosts.SetLink(up: false);
        hosts.Near.Shell("systemctl stop p11-forward-cut").Succeeded();
        hosts.MendLinkAs(TwoHosts.NearAddress);
        Assert.NotEqual("", hosts.Far.Shell(Remains).Succeeded());
        var last = hosts.HsmRemote("Remove-P11SocketForward cut").SucceededWithOne();
        Assert.Contains($"Remove the socket {Socket} on {Far}", last.ToString(), StringComparison.Ordinal);
        Assert.Equal("", hosts.Far.Shell(Remains).Succeeded());
        Assert.Equal("", Leftovers("cut"));
    }

    [Fact]
    public void Forwards_of_an_alias_are_in_nobodys_way()
    {
        _ = hosts.Token;
        hosts.Near.WriteFile("/root/alias", $"Host box\n  HostName {Far}\n  HostKeyAlias {Far}\n  LogLevel QUIET\n  ExitOnForwardFailure yes\n  LocalForward 18080 localhost:80\n  RemoteForward 18081 localhost:80\n");
        hosts.HsmRemote("New-P11SocketForward edge box -SshConfig /root/alias -RemotePath /run/alias/pkcs11 -ForwardName alias").SucceededWithOne();
        hosts.Near.Shell("ss -Hltn 'sport = :18080' | grep -q .").Succeeded();
        var pushed = hosts.HsmRemote("Test-P11SocketForward alias").SucceededWithOne();
        Assert.True(pushed.GetProperty("Succeeded").GetBoolean(), pushed.ToString());
        // While the tunnel has the ports, another one stands all the same.
        hosts.HsmRemote("New-P11SocketForward -HostName box -SshConfig /root/alias -Direction Pull -RemotePath /run/alias/pkcs11 -ForwardName back").SucceededWithOne();
        var pulled = hosts.HsmRemote("Test-P11SocketForward back").SucceededWithOne();
        Assert.True(pulled.GetProperty("Succeeded").GetBoolean(), pulled.ToString());
        hosts.HsmRemote("Remove-P11SocketForward back, alias").Succeeded();
        Assert.Equal("", hosts.Far.Shell("ls -d /run/alias 2>/dev/null || true").Succeeded());
        // And what is wrong is said.
        Error("New-P11SocketForward edge box -SshConfig /root/alias -Port 1 -ForwardName alias", "FarSideUnreachable", "Connection refused");
    }

    [Fact]
    public void Both_ends_are_checked_before_anything_is_changed()
    {
        hosts.StartSshd(2211, "-o AllowStreamLocalForwarding=no");
        hosts.StartSshd(2212, "-o DisableForwarding=yes");
        hosts.StartSshd(2213, "-o PubkeyAuthentication=no");
        hosts.RunSshd(2214);
        Error($"New-P11SocketForward edge {Far} -Port 2211 -ForwardName bad", "ForwardingNotAllowed", "AllowStreamLocalForwarding");
        Error($"New-P11SocketForward edge {Far} -Port 2212 -ForwardName bad", "ForwardingNotAllowed", "DisableForwarding");
        Error($"New-P11SocketForward edge {Far} -Port 2213 -ForwardName bad", "FarSideDeniesLogin", "BatchMode");
        // No configuration makes an unknown key enough.
        hosts.Near.WriteFile("/root/lax", "Host *\n  StrictHostKeyChecking no\n  UserKnownHostsFile /dev/null\n");
        Error($"New-P11SocketForward edge {Far} -Port 2214 -SshConfig /root/lax -ForwardName bad", "HostKeyUnknown", "ssh_host_ed25519_key.pub");
        Error($"New-P11SocketForward edge {Far} -Port 1 -ForwardName bad", "FarSideUnreachable", "Connection refused");
        Error("New-P11SocketForward edge no.such.host.invalid -ForwardName bad", "FarSideUnreachable", "resolve");
        Error($"New-P11SocketForward -SocketPath /run/no/socket -HostName {Far} -ForwardName bad", "LocalSocketFailed", "no/socket");
        Error($"New-P11SocketForward -HostName {Far} -Direction Push -ForwardName bad", "ForwardSourceRequired", "-SocketPath");
        Error($"New-P11SocketForward -HostName {Far} -Direction Pull -ForwardName bad", "RemotePathRequired", "-RemotePath");
        Error($"New-P11SocketForward -HostName {Far} -Direction Pull -RemotePath /run/nothing -ForwardName bad", "RemoteSocketFailed", "Test-P11Socket");
        Error($"New-P11SocketForward edge {Far} -KeyPath /root/no-such-key -ForwardName bad", "SshFileMissing", "-KeyPath");
        Error($"New-P11SocketForward edge '-oProxyCommand=x' -ForwardName bad", "HostNameInvalid", "alias");
        hosts.Far.WriteFile("/usr/local/bin/silent", "#!/bin/sh\nexec sleep 300\n", "0755");
        MakeFarUser("silent", "/usr/local/bin/silent");
        Error($"New-P11SocketForward edge {Far} -User silent -ForwardName bad", "FarSideSilent", "login shell");
        Error("Test-P11SocketForward bad", "ForwardNotFound", "no forward");
        // Of two servers with one name, -Scope says whose.
        hosts.Near.Shell("mkdir -p /root/.config/systemd/user; cp -r /etc/systemd/system/edge.socket /etc/systemd/system/edge@.service /root/.config/systemd/user; systemctl start user@0.service").Succeeded();
        Error($"New-P11SocketForward edge {Far} -ForwardName bad -WhatIf", "ServerAmbiguous", "-Scope");
        hosts.HsmRemote($"New-P11SocketForward edge {Far} -ForwardName bad -Scope System -WhatIf").SucceededWithOne();
        hosts.Near.Shell("rm -r /root/.config/systemd/user; XDG_RUNTIME_DIR=/run/user/0 systemctl --user daemon-reload; systemctl stop user@0.service").Succeeded();
        Assert.Equal("", Leftovers("bad"));
    }

    [Fact]
    public void A_tunnel_that_does_not_come_up_is_undone()
    {
        _ = hosts.Token;
        // ssh goes elsewhere where only the service is.
        hosts.Near.WriteFile("/root/split", $"Match originalhost split exec \"test $RUNTIME_DIRECTORY\"\n  Port 1\nHost split\n  HostName {Far}\n  HostKeyAlias {Far}\n");
        Error("New-P11SocketForward edge split -SshConfig /root/split -ForwardName undone -RemotePath /tmp/undone.p11 -Persist", "ChangeFailed", "Connection refused");
        Assert.Equal("", Leftovers("undone"));
    }

    [Fact]
    public void Keys_of_any_name_and_addresses_of_IPv6_are_what_ssh_takes()
    {
        const string Far6 = "fd99::2";
        _ = hosts.Token;
        Assert.SkipUnless(File.Exists("/proc/net/if_inet6"), "There is no IPv6 here.");
        hosts.Near.Shell("mkdir '/root/my keys'; cp /root/.ssh/id_ed25519 '/root/my keys/100%.key'; ip addr add fd99::1/64 dev fwd nodad").Succeeded();
        hosts.Far.Shell($"ip addr add {Far6}/64 dev fwd nodad").Succeeded();
        hosts.Near.WriteFile("/root/keys", $"Host *\n  IdentityFile none\n  UserKnownHostsFile /root/.ssh/known_hosts\n  HostKeyAlias {Far}\n");
        hosts.HsmRemote($"New-P11SocketForward edge {Far6} -SshConfig /root/keys -KeyPath '/root/my keys/100%.key' -RemotePath /tmp/key.p11 -ForwardName key").SucceededWithOne();
        var test = hosts.HsmRemote("Test-P11SocketForward key").SucceededWithOne();
        Assert.True(test.GetProperty("Succeeded").GetBoolean(), test.ToString());
        hosts.HsmRemote("Remove-P11SocketForward key").SucceededWithOne();
        // The remedy is a command that can be pasted, and does what the forward does.
        var remedy = hosts.HsmRemote($"try {{ New-P11SocketForward edge {Far6} -Port 1 -SshConfig /root/keys -KeyPath '/root/my keys/100%.key' -ErrorAction Stop }} catch {{ $_.ErrorDetails.RecommendedAction }}").SucceededWithOne().GetString()!;
        hosts.Near.Shell(remedy.Split('`')[1].Replace("-p 1 ", "", StringComparison.Ordinal)).Succeeded();
    }

    [Fact]
    public void A_users_own_systemd_forwards_too()
    {
        _ = hosts.Token;
        hosts.Near.Shell("systemctl start user@0.service").Succeeded();
        hosts.HsmRemote($"New-P11SocketForward edge {Far} -RemotePath /tmp/own.p11 -ForwardName own -Scope User -Persist").SucceededWithOne();
        Assert.Contains("token=edge", hosts.Far.Shell(TwoHosts.List("/tmp/own.p11")).Succeeded(), StringComparison.Ordinal);
        Assert.Equal("User", One("own").GetProperty("Scope").GetString());
        hosts.HsmRemote("Remove-P11SocketForward own").SucceededWithOne();
        Assert.Equal("", Leftovers("own"));
        Assert.Equal("", hosts.Far.Shell("ls /tmp/own.p11 2>/dev/null || true").Succeeded());
    }

    [Fact]
    public void The_virtual_machine_of_colima_is_held_to_its_host_keys()
    {
        _ = hosts.Token;
        // What colima prints, with sshd of the other host for the one of its virtual machine.
        hosts.Near.WriteFile("/usr/local/bin/colima", $$"""
            #!/bin/sh
            case "$*" in
                'ssh-config work')
                    cat <<'END'
            # This SSH config file can be passed to 'ssh -F'.
            # This file is created by Lima, but not used by Lima itself currently.
            # Modifications to this file will be lost on restarting the Lima instance.
            Host colima-work
              IdentityFile "/root/.ssh/id_ed25519"
              StrictHostKeyChecking no
              UserKnownHostsFile /dev/null
              NoHostAuthenticationForLocalhost yes
              GSSAPIAuthentication no
              PreferredAuthentications publickey
              Compression no
              BatchMode yes
              IdentitiesOnly yes
              Ciphers "^aes128-gcm@openssh.com,aes256-gcm@openssh.com"
              User root
              ControlMaster auto
              ControlPath "/root/ssh.sock"
              ControlPersist yes
              Hostname {{Far}}
              Port 22

            END
                    ;;
                'ssh --profile work -- sh -c cat /etc/ssh/ssh_host_*_key.pub') echo '{{string.Join(' ', hosts.HostKey().Split(' ').Skip(1))}} root@lima' ;;
                *) echo "unexpected: $*" >&2; exit 1 ;;
            esac

            """, "0755");
        hosts.HsmRemote("New-P11SocketForward edge -Colima work -RemotePath /tmp/colima.p11").SucceededWithOne();
        var forward = One("edge-colima-work");
        Assert.Equal(("colima-work", "work"), (forward.GetProperty("HostName").GetString(), forward.GetProperty("ColimaProfile").GetString()));
        Assert.Contains("token=edge", hosts.Far.Shell(TwoHosts.List("/tmp/colima.p11")).Succeeded(), StringComparison.Ordinal);
        var test = hosts.HsmRemote("Test-P11SocketForward edge-colima-work").SucceededWithOne();
        Assert.True(test.GetProperty("Succeeded").GetBoolean(), test.ToString());

        // Another one in its place is not talked to, although colima's configuration would.
        hosts.Near.Shell($"sed -i 's/AAAA..../AAAAB3Nz/' /run/p11-forward-edge-colima-work.d/known_hosts; echo 'colima-work ssh-ed25519 '\"$(ssh-keygen -q -t ed25519 -N '' -f /root/other; cut -d' ' -f2 /root/other.pub)\" >/run/p11-forward-edge-colima-work.d/known_hosts; systemctl restart p11-forward-edge-colima-work").Succeeded();
        Cause("Test-P11SocketForward edge-colima-work", "HostKeyChanged", "RemoteEnd");
        hosts.HsmRemote("Remove-P11SocketForward edge-colima-work").SucceededWithOne();
        Assert.Equal("", Leftovers("edge-colima-work"));
        Error("New-P11SocketForward edge -Colima other", "ColimaFailed", "colima start other");
    }

    [Fact]
    public void A_server_runs_from_the_prompt_until_it_is_interrupted()
    {
        _ = hosts.Token;
        hosts.Near.Shell($$"""
            cd /root
            env --default-signal=INT setsid {{SandboxFixture.ShellPath}} -NoProfile -NonInteractive -Command "Start-P11KitServer -Foreground -TargetUri '{{hosts.Token.Uri}}' -SocketPath '/run/the prompt:50%.p11'" >said 2>&1 &
            shell=$!
            for i in $(seq 300); do grep -q 'Over there' said && break; sleep 0.1; done
            (eval "$(sed -n 's/^Here: *//p' said)"; p11tool --provider {{ContainerHost.Client}} --list-token-urls) >tokens
            eval "$(sed -n 's/^To a host: *//p' said | sed 's/HOST$/-f {{Far}}/')"
            """).Succeeded();
        var said = hosts.Near.Shell("cat /root/said").Succeeded();
        Assert.Contains("export P11_KIT_SERVER_ADDRESS='unix:path=/run/the prompt:50%25.p11'", said, StringComparison.Ordinal);
        Assert.Contains("token=edge", hosts.Near.Shell("cat /root/tokens").Succeeded(), StringComparison.Ordinal);
        Assert.Contains("token=edge", hosts.Far.Shell(TwoHosts.List("/tmp/pkcs11")).Succeeded(), StringComparison.Ordinal);
        hosts.Far.Shell("rm /tmp/pkcs11").Succeeded();
        hosts.Near.Shell("pkill -f -- '-R [/]tmp/pkcs11:'; pkill -INT -f 'Start-P11KitServer [-]Foreground'").Succeeded();
        hosts.Near.WaitFor("! pgrep -f 'Start-P11KitServer [-]Foreground'");
        Assert.Equal("", hosts.Near.Shell("ls '/run/the prompt:50%.p11' 2>/dev/null || true; pgrep -x p11-kit-server || true").Succeeded());
        Error("Start-P11KitServer -Foreground -TargetUri 'pkcs11:token=edge' -SocketPath /run/edge/pkcs11", "SocketPathTaken", "another path");
        Error("Start-P11KitServer -Foreground -TargetUri 'token=edge'", "UriMalformed", "PKCS #11 URI");
    }

    JsonElement One(string name) => hosts.HsmRemote($"Get-P11SocketForward {name}").SucceededWithOne();

    void Cause(string command, string cause, string check)
    {
        var test = hosts.HsmRemote(command).SucceededWithOne();
        Assert.True(
            (cause, check) == (test.GetProperty("Cause").GetString(), test.GetProperty("FailedCheck").GetString()),
            $"{test}\n{hosts.Near.Shell("journalctl --no-pager -u 'p11-forward-*' -n 30").StdOut}");
        Assert.NotEqual("", test.GetProperty("Remedy").GetString());
    }

    void Error(string command, string errorId, string says)
    {
        var result = hosts.HsmRemote($"try {{ {command} -ErrorAction Stop }} catch {{ $_.FullyQualifiedErrorId.Split(',')[0]; \"$_ $($_.ErrorDetails.RecommendedAction)\" }}");
        Assert.True(result.Output.Length == 2, result.ToString());
        Assert.Equal(errorId, result.Output[0].GetString());
        Assert.Contains(says, result.Output[1].GetString(), StringComparison.Ordinal);
    }

    void MakeFarUser(string name, string shell) =>
        hosts.Far.Shell($"useradd --create-home --shell {shell} {name}; install -D -m 0600 -o {name} /root/.ssh/authorized_keys /home/{name}/.ssh/authorized_keys; chown {name} /home/{name}/.ssh").Succeeded();

    /// <summary>What of a forward is on this host.</summary>
    string Leftovers(string name) => hosts.Near.Shell(
        $"ls -d /etc/systemd/system/*p11-forward-{name}* /etc/systemd/system/*.wants/*p11-forward-{name}* /etc/p11-forward-{name} /run/systemd/system/*p11-forward-{name}* /run/p11-forward-{name}* "
        + $"/root/.config/systemd/user/*p11-forward-{name}* /root/.config/p11-forward-{name} 2>/dev/null || true; systemctl list-units --all --no-legend 'p11-forward-{name}*'; pgrep -f -- '[t]unnel.sh .* {name} ' || true").Succeeded();
}
