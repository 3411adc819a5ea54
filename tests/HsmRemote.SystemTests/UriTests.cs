using System.Text.Json;

namespace HsmRemote.SystemTests;

/// <summary>Test-Pkcs11Uri beside what p11-kit's own server exposes for the very text.</summary>
public sealed class UriTests(SandboxFixture sandbox)
{
    [Fact]
    public void What_it_says_of_a_URI_is_what_p11tool_sees_through_a_server_with_that_URI()
    {
        sandbox.CreateToken("uri one");
        sandbox.CreateToken("uri-two");
        string[] uris =
        [
            "pkcs11:token=uri%20one", "pkcs11:token=uri-two;model=SoftHSM%20v2", "pkcs11:token=uri-two;model=other", "pkcs11:token=uri-two;;serial=9",
            "pkcs11:token=uri-two;object=key", "pkcs11:token=uri-two;toke=x", "pkcs11:token=uri-two?module-path=/nowhere.so", "pkcs11:token=ur i-two",
            "pkcs11:token=uri%20one;token=uri-two", "pkcs11:token=uri-two;serial=%00", "pkcs11:token=uri-two;serial=", "pkcs11:token=uri-two;",
            "pkcs11:token", "pkcs11:token=%2", "PKCS11:token=uri-two", "pkcs11:token=uri-two;slot-id=1", "pkcs11:serial=01234567890123456", "pkcs11:token=uri-two?X=1",
        ];
        // A connection for each, as systemd makes one: p11-kit remote at the other end of a socket.
        sandbox.WriteFile("/var/tmp/uri-see.sh", """
            module=$(find /usr/lib -name p11-kit-client.so | head -1)
            while IFS= read -r URI; do
                export URI
                socat UNIX-LISTEN:/var/tmp/uri-see.sock EXEC:/var/tmp/uri-remote.sh 2>/dev/null </dev/null &
                until [ "$(ss -Hxl src /var/tmp/uri-see.sock)" ]; do sleep 0.05; done
                P11_KIT_SERVER_ADDRESS=unix:path=/var/tmp/uri-see.sock p11tool --provider "$module" --list-token-urls 2>/dev/null </dev/null | sort | paste -s -d ' '
                wait
                rm -f /var/tmp/uri-see.sock
            done
            """);
        sandbox.WriteFile("/var/tmp/uri-remote.sh", "#!/bin/sh\nexec p11-kit remote \"$URI\"\n", "0755");
        var seen = sandbox.Run(SandboxFixture.DefaultDeadline, string.Join('\n', uris) + '\n', "bash", "/var/tmp/uri-see.sh");
        seen.Succeeded();
        var said = sandbox.HsmRemote($"Test-Pkcs11Uri {string.Join(", ", uris.Select(uri => $"'{uri}'"))}").Succeeded()
            .Select(test => string.Join(' ', test.GetProperty("Exposes").EnumerateArray().Select(t => t.GetProperty("Uri").GetString()).Order(StringComparer.Ordinal)));
        Assert.Equal(uris.Zip(seen.StdOut[..^1].Split('\n')), uris.Zip(said));
        // And the server itself shows that there is something to see.
        Assert.Contains("token=uri%20one", seen.StdOut, StringComparison.Ordinal);
    }

    [Fact]
    public void Tokens_targets_and_text_can_be_piped_in_and_what_is_none_is_a_result()
    {
        sandbox.CreateToken("uri-pipe");
        sandbox.HsmRemote("Install-P11KitServer uri-pipe -TargetUri pkcs11:token=uri-pipe").SucceededWithOne();
        Assert.Equal(["AsMeant", "AsMeant"], Outcomes("Get-Pkcs11Token uri-pipe | Test-Pkcs11Uri; Get-P11TargetUri uri-pipe | Test-Pkcs11Uri"));
        Assert.Equal(["NoConnection", "Everything"], Outcomes("'token=x', 'pkcs11:' | Test-Pkcs11Uri"));
        Assert.Equal([true, false], sandbox.HsmRemote("Test-Pkcs11Uri pkcs11:token=x, pkcs11:token -Quiet").Succeeded().Select(o => o.GetBoolean()));

        var malformed = sandbox.HsmRemote("Test-Pkcs11Uri 'pkcs11:token=a;;?pin-value=774411' -Verbose");
        var test = malformed.SucceededWithOne();
        Assert.False(test.GetProperty("IsValid").GetBoolean());
        Assert.Equal(15, test.GetProperty("Offset").GetInt32());
        Assert.DoesNotContain("774411", $"{test}{malformed.StdErr}", StringComparison.Ordinal);
        sandbox.HsmRemote("Set-P11TargetUri uri-pipe @(); Get-P11TargetUri uri-pipe | Test-Pkcs11Uri").Succeeded();

        string?[] Outcomes(string command) => [.. sandbox.HsmRemote(command).Succeeded().Select(o => o.GetProperty("Outcome").GetString())];
    }
}
