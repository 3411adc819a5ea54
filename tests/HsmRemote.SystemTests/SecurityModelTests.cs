namespace HsmRemote.SystemTests;

/// <summary>That about_HsmRemote_Security is true: what whoever may connect can do, and where it is honest about limits, that these are the limits.</summary>
public sealed class SecurityModelTests(SandboxFixture sandbox)
{
    const string Client = "/usr/lib/x86_64-linux-gnu/pkcs11/p11-kit-client.so";

    // Reads one byte of process $1's memory in two ways (310 is process_vm_readv), and says whether it may be signalled and is seen.
    const string Reach = """
        perl -e 'open(M, "<", "/proc/$ARGV[0]/maps") and <M> =~ /^(\w+)/ and open(F, "<", "/proc/$ARGV[0]/mem") and sysseek(F, hex($1), 0) and sysread(F, $b, 1) and print "memory "' "$1"
        perl -e '$b = "\0"; $l = pack("PQ", $b, 1); $r = pack("Q2", hex($ARGV[1]), 1); syscall(310, $ARGV[0] + 0, $l, 1, $r, 1, 0) == 1 and print "vm "' "$1" "$2"
        kill -0 "$1" 2>/dev/null && echo -n 'signal '
        [ -e "/proc/$1" ] && echo -n 'seen '
        echo tried
        """;

    [Theory]
    [InlineData("PerConnection")]
    [InlineData("Acceptor")]
    [InlineData("Daemon")]
    public void A_login_is_its_connection_s_alone(string mode)
    {
        var name = $"sec-{mode.ToLowerInvariant()}";
        var token = sandbox.CreateToken(name);
        sandbox.HsmRemote($"Install-P11KitServer {name} -Mode {mode} -TargetUri '{token.Uri}'").SucceededWithOne();
        // It logs in, says how it signs, and waits for something to sign.
        sandbox.Shell($"""
            mkfifo /run/{name}.fifo; (umask 077; echo {token.Pin} >/root/{name}.pin)
            systemd-run --quiet --collect --unit={name}-client --setenv=P11_KIT_SERVER_ADDRESS=unix:path=/run/{name}/pkcs11 \
                pkcs11-tool --module {Client} --token-label {name} --login --pin {token.Pin} --sign --mechanism ECDSA --id 01 --input-file /run/{name}.fifo --output-file /run/{name}.signature
            """).Succeeded();
        var process = sandbox.Connections(name, 1)[0].GetProperty("ServerProcessId").GetInt32();
        sandbox.WaitFor($"journalctl --unit={name}-client --output=cat | grep -q 'Using signature'");

        var keys = sandbox.HsmRemote($"@(Get-Pkcs11Object -Name {name} -Type PrivateKey).Count; @(Get-Pkcs11Object -Name {name} -Type PrivateKey -PinPath /root/{name}.pin).Count").Succeeded();
        Assert.Equal([0, 1], keys.Select(count => count.GetInt32()));
        sandbox.Shell($"head -c 32 /dev/zero >/run/{name}.fifo").Succeeded();
        sandbox.WaitFor($"[ -s /run/{name}.signature ] && ! [ -e /proc/{process} ]");
    }

    [Fact]
    public void Without_a_PIN_public_objects_are_read_and_changed_and_PINs_are_tried()
    {
        var token = sandbox.CreateToken("sec-public");
        sandbox.HsmRemote($"Install-P11KitServer sec-public -SocketMode 0666 -TargetUri '{token.Uri}'").SucceededWithOne();
        Assert.Contains("Public Key Object", Tool("--list-objects").Succeeded(), StringComparison.Ordinal);
        Assert.Contains("CKR_PIN_INCORRECT", Tool("--login --pin 1 --list-objects").ToString(), StringComparison.Ordinal);
        Assert.Contains("CKR_PIN_INCORRECT", Tool("--login --login-type so --so-pin 1 --init-pin --new-pin 654321").ToString(), StringComparison.Ordinal);
        Assert.Contains("CKR_PIN_INCORRECT", Tool("--init-token --label sec-public --so-pin 1").ToString(), StringComparison.Ordinal);
        Tool("--delete-object --type pubkey --id 01").Succeeded();
        Assert.DoesNotContain("Public Key Object", Tool("--list-objects").Succeeded(), StringComparison.Ordinal);

        CommandResult Tool(string arguments) => AsContainerUser("sec-public", arguments);
    }

    [Fact]
    public void With_the_PIN_keys_are_made_and_deleted_and_the_PIN_is_changed()
    {
        var token = sandbox.CreateToken("sec-pin");
        sandbox.HsmRemote($"Install-P11KitServer sec-pin -SocketMode 0666 -TargetUri '{token.Uri}'").SucceededWithOne();
        Tool($"--login --pin {token.Pin} --keypairgen --key-type EC:prime256v1 --id 77 --label made");
        Tool($"--login --pin {token.Pin} --delete-object --type privkey --id 01");
        Tool($"--login --pin {token.Pin} --change-pin --new-pin 654321");
        var objects = Tool("--login --pin 654321 --list-objects --type privkey");
        Assert.Contains("made", objects, StringComparison.Ordinal);
        Assert.DoesNotContain(token.KeyLabel, objects, StringComparison.Ordinal);

        string Tool(string arguments) => AsContainerUser("sec-pin", arguments).Succeeded();
    }

    [Fact]
    public void A_service_that_is_taken_over_reaches_no_other_process_of_root_s()
    {
        sandbox.WriteFile("/opt/sec-reach", Reach);
        // Without capabilities: one that has any is not read by one that has none.
        sandbox.Shell("systemd-run --quiet --collect --unit=sec-bystander --property=CapabilityBoundingSet= sleep 600").Succeeded();
        sandbox.HsmRemote("Install-P11KitServer sec-other -TargetUri pkcs11:token=sec-none").SucceededWithOne();
        sandbox.Connect("sec-other");
        var other = sandbox.Connections("sec-other", 1)[0].GetProperty("ServerProcessId").ToString();
        var bystander = sandbox.Run("systemctl", "show", "-P", "MainPID", "sec-bystander").Succeeded();

        sandbox.HsmRemote("Install-P11KitServer sec-taken").SucceededWithOne();
        // The same by hand, without the sandbox: what is tried can be done.
        sandbox.WriteFile("/etc/systemd/system/sec-bare.socket", "[Socket]\nListenStream=/run/sec-bare/pkcs11\nAccept=yes\n");
        sandbox.WriteFile("/etc/systemd/system/sec-bare@.service", "[Service]\nCapabilityBoundingSet=\nStandardInput=socket\n");
        foreach (var process in (string[])[other, bystander])
        {
            var address = sandbox.Shell($"head -n 1 /proc/{process}/maps | cut -d - -f 1").Succeeded();
            foreach (var unit in (string[])["sec-bare", "sec-taken"])
                sandbox.WriteFile($"/etc/systemd/system/{unit}@.service.d/taken.conf", $"[Service]\nExecStart=\nExecStart=/bin/bash /opt/sec-reach {process} {address}\n");
            sandbox.Shell("systemctl daemon-reload; systemctl start sec-bare.socket").Succeeded();
            Assert.Equal("memory vm signal seen tried", sandbox.Run("socat", "-t120", "-", "UNIX-CONNECT:/run/sec-bare/pkcs11").Succeeded());
            Assert.Equal("tried", sandbox.Run("socat", "-t120", "-", "UNIX-CONNECT:/run/sec-taken/pkcs11").Succeeded());
        }

        sandbox.Run("systemctl", "stop", "sec-bystander", "sec-other@*", "sec-bare.socket").Succeeded();
    }

    [Fact]
    public void Passwords_are_out_of_root_s_sight_in_the_copies_too()
    {
        sandbox.HsmRemote("Install-P11KitServer sec-files").SucceededWithOne();
        sandbox.WriteFile(
            "/etc/systemd/system/sec-files@.service.d/taken.conf",
            "[Service]\nExecStart=\nExecStart=/bin/bash -c 'for f in /etc/shadow /etc/shadow- /etc/gshadow /etc/gshadow- /etc/passwd; do head -c 1 $f >/dev/null 2>&1 && echo $f; done'\n");
        sandbox.Shell("touch /etc/shadow- /etc/gshadow-; systemctl daemon-reload").Succeeded();
        Assert.Equal("/etc/passwd", sandbox.Run("socat", "-t120", "-", "UNIX-CONNECT:/run/sec-files/pkcs11").Succeeded());
    }

    CommandResult AsContainerUser(string name, string arguments) => sandbox.Shell(
        $"cd /; setpriv --reuid=5000 --regid=5000 --clear-groups env P11_KIT_SERVER_ADDRESS=unix:path=/run/{name}/pkcs11 pkcs11-tool --module {Client} --token-label {name} {arguments}");
}
