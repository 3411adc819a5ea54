using System.Text.Json;

namespace HsmRemote.SystemTests;

/// <summary>Set- and Get-P11TargetUri, and what systemd and p11-kit make of the file.</summary>
public sealed class TargetTests(SandboxFixture sandbox)
{
    [Fact]
    public void Tokens_from_the_pipeline_become_the_target_and_no_others()
    {
        var one = sandbox.CreateToken("target one");
        var two = sandbox.CreateToken("target two");
        sandbox.CreateToken("target other");
        sandbox.HsmRemote("Install-P11KitServer target-pipe").SucceededWithOne();

        var set = sandbox.HsmRemote("Get-Pkcs11Token 'target one', 'target two' | Set-P11TargetUri -Name target-pipe").SucceededWithOne();
        Assert.True(set.GetProperty("Changed").GetBoolean());
        var uris = Uris(sandbox.HsmRemote("Get-P11TargetUri target-pipe").SucceededWithOne());
        Assert.Equal(2, uris.Length);
        // Behind the socket, since p11tool looks at 48 slots of a module, and other tests make tokens too.
        var listed = sandbox.Shell($"P11_KIT_SERVER_ADDRESS=unix:path=/run/target-pipe/pkcs11 p11tool --provider {ContainerHost.Client} --list-token-urls").Succeeded();
        Assert.Equal(listed.Split('\n').Order(StringComparer.Ordinal), uris.Order(StringComparer.Ordinal));

        var seen = sandbox.HsmRemote("Get-Pkcs11Token -Name target-pipe").Succeeded().Select(t => t.GetProperty("Label").GetString()).Order(StringComparer.Ordinal);
        Assert.Equal([one.Label, two.Label], seen);
        var test = sandbox.HsmRemote("Test-P11Socket target-pipe -Quiet").SucceededWithOne();
        Assert.True(test.GetBoolean());

        Assert.False(sandbox.HsmRemote("Get-Pkcs11Token 'target one', 'target two' | Set-P11TargetUri -Name target-pipe").SucceededWithOne()
            .GetProperty("Changed").GetBoolean());
    }

    [Fact]
    public void A_new_target_holds_for_the_next_connection_and_the_socket_stays_the_same_file()
    {
        var one = sandbox.CreateToken("target-next-1");
        var two = sandbox.CreateToken("target-next-2");
        sandbox.HsmRemote($"Install-P11KitServer target-next -TargetUri '{one.Uri}'").SucceededWithOne();
        var inode = sandbox.Run("stat", "-c", "%i", "/run/target-next/pkcs11").Succeeded();
        Assert.Equal(one.Label, Assert.Single(Labels()));

        sandbox.HsmRemote($"Set-P11TargetUri target-next '{two.Uri}'").SucceededWithOne();

        Assert.Equal(two.Label, Assert.Single(Labels()));
        Assert.Equal(inode, sandbox.Run("stat", "-c", "%i", "/run/target-next/pkcs11").Succeeded());

        sandbox.HsmRemote("Set-P11TargetUri target-next -Uri @()").SucceededWithOne();
        Assert.Equal("NoTarget", sandbox.HsmRemote("Test-P11Socket target-next").SucceededWithOne().GetProperty("Cause").GetString());

        string?[] Labels() => [.. sandbox.HsmRemote("Get-Pkcs11Token -Name target-next").Succeeded().Select(t => t.GetProperty("Label").GetString())];
    }

    [Fact]
    public void Comments_other_variables_owner_and_mode_of_the_file_stay()
    {
        sandbox.HsmRemote("Install-P11KitServer target-keep").SucceededWithOne();
        sandbox.WriteFile("/etc/target-keep/config.env", "# mine\nSOFTHSM2_CONF=/etc/softhsm/softhsm2.conf\n\nTARGET_PKCS11_URI=pkcs11:token=old\n; end\n", "0640");
        sandbox.Run("chown", "daemon:daemon", "/etc/target-keep/config.env").Succeeded();

        sandbox.HsmRemote("Set-P11TargetUri target-keep 'pkcs11:token=new%20one;serial=1' -Force").SucceededWithOne();

        Assert.Equal(
            "# mine\nSOFTHSM2_CONF=/etc/softhsm/softhsm2.conf\n\nTARGET_PKCS11_URI=\"pkcs11:serial=1;token=new%20one\"\n; end",
            sandbox.Run("cat", "/etc/target-keep/config.env").Succeeded());
        Assert.Equal("640 daemon daemon", sandbox.Run("stat", "-c", "%a %U %G", "/etc/target-keep/config.env").Succeeded());
    }

    [Theory]
    [InlineData("pkcs11:token=a;;serial=9", "UriMalformed")]
    [InlineData("pkcs11:;token=X", "UriMalformed")]
    [InlineData("token=X", "UriMalformed")]
    [InlineData("pkcs11:token=X;colour=red", "TargetUriNotForToken")]
    [InlineData("pkcs11:token=X;slot-id=1", "TargetUriNotForToken")]
    [InlineData("pkcs11:token=X?module-path=/x", "TargetUriNotForToken")]
    [InlineData("pkcs11:token=X?pin-value=77441", "TargetUriHasPin")]
    [InlineData("pkcs11:token=X;;?pin-value=77441", "UriMalformed")]
    [InlineData("pkcs11:object=key", "TargetUriExposesAll")]
    public void What_the_server_would_misread_is_refused_and_a_PIN_is_shown_nowhere(string uri, string errorId)
    {
        sandbox.HsmRemote("Install-P11KitServer target-refuse").SucceededWithOne();
        var before = sandbox.Run("cat", "/etc/target-refuse/config.env").Succeeded();
        var result = sandbox.HsmRemote($$"""try { Set-P11TargetUri target-refuse '{{uri}}' -Verbose -ErrorAction Stop } catch { $_.FullyQualifiedErrorId; "$_ $($_.Exception.Message)" }""");
        Assert.StartsWith($"{errorId},", result.Succeeded()[0].GetString(), StringComparison.Ordinal);
        Assert.Equal(before, sandbox.Run("cat", "/etc/target-refuse/config.env").Succeeded());
        Assert.DoesNotContain("77441", result.ToString().Replace(uri, "", StringComparison.Ordinal), StringComparison.Ordinal);
    }

    [Fact]
    public void An_objects_URI_is_cut_down_to_its_token_with_a_warning()
    {
        sandbox.HsmRemote("Install-P11KitServer target-object").SucceededWithOne();
        var result = sandbox.HsmRemote("Set-P11TargetUri target-object 'pkcs11:token=t;id=%01;object=key;type=private' -Force");
        result.SucceededWithOne();
        Assert.Contains("WARNING", result.StdErr, StringComparison.Ordinal);
        Assert.Equal("pkcs11:token=t", Assert.Single(Uris(sandbox.HsmRemote("Get-P11TargetUri target-object").SucceededWithOne())));
    }

    [Theory]
    [InlineData("Get-Pkcs11Token no-such-token* | Set-P11TargetUri target-empty")]
    [InlineData("Set-P11TargetUri target-empty")]
    [InlineData("Set-P11TargetUri target-empty -Uri $null")]
    [InlineData("Get-P11KitServer target-empty | Set-P11TargetUri")]
    // What is no URI has none to be piped in, and what is left is not what was meant.
    [InlineData("Test-Pkcs11Uri pkcs11:token=other, other | Set-P11TargetUri target-empty -Force")]
    public void When_no_token_is_given_or_piped_in_the_target_stays_and_nobody_is_asked(string command)
    {
        sandbox.HsmRemote("Install-P11KitServer target-empty -TargetUri pkcs11:token=kept").SucceededWithOne();
        // At a terminal, where a person presses Enter.
        var result = sandbox.Run(
            SandboxFixture.DefaultDeadline, "\r", "script", "--quiet", "--return", "--command",
            $"stty cols 200; {SandboxFixture.ShellPath} -NoProfile -Command '{command}'", "/dev/null");
        Assert.Equal(1, result.ExitCode);
        Assert.Contains("No token was given with -Uri or piped in", result.StdOut, StringComparison.Ordinal);
        Assert.Equal("pkcs11:token=kept", Assert.Single(Uris(sandbox.HsmRemote("Get-P11TargetUri target-empty").SucceededWithOne())));
    }

    [Fact]
    public void A_file_that_was_edited_into_nonsense_is_reported_with_what_to_do()
    {
        sandbox.HsmRemote("Install-P11KitServer target-nonsense").SucceededWithOne();
        sandbox.WriteFile("/etc/target-nonsense/config.env", "TARGET_PKCS11_URI='pkcs11:token=a /usr/lib/x.so'\n");
        var result = sandbox.HsmRemote("Get-P11TargetUri target-nonsense");
        Assert.Equal(1, result.ExitCode);
        Assert.Contains("has a word that is no PKCS #11 URI", result.StdErr, StringComparison.Ordinal);
    }

    [Fact]
    public void The_file_is_replaced_never_edited_in_place()
    {
        sandbox.HsmRemote("Install-P11KitServer target-atomic").SucceededWithOne();
        var trace = sandbox.Run(
            "strace", "-f", "-e", "trace=openat,rename,renameat,renameat2,fsync,link,linkat", "-o", "/var/tmp/target-atomic.trace",
            SandboxFixture.ShellPath, "-NoProfile", "-Command", "Set-P11TargetUri target-atomic pkcs11:token=new -Force");
        trace.Succeeded();
        var calls = sandbox.Shell("grep -E 'target-atomic/|rename|fsync|\"/etc/target-atomic\"' /var/tmp/target-atomic.trace").Succeeded().Split('\n').ToList();
        Assert.DoesNotContain(calls, c => c.Contains("config.env\", O_", StringComparison.Ordinal) && (c.Contains("O_WRONLY", StringComparison.Ordinal) || c.Contains("O_RDWR", StringComparison.Ordinal)));
        var rename = calls.FindIndex(c => c.Contains("rename", StringComparison.Ordinal) && c.Contains("config.env", StringComparison.Ordinal));
        Assert.True(rename >= 0, string.Join('\n', calls));
        // The file is on disk before it is renamed, and the directory after.
        Assert.Contains(calls[..rename], c => c.Contains("fsync(", StringComparison.Ordinal));
        Assert.Contains(calls[rename..], c => c.Contains("fsync(", StringComparison.Ordinal));
    }

    /// <summary>The cases of EnvironmentFileTests, read by systemd itself.</summary>
    [Theory]
    [InlineData("A=1\nA=2\n")]
    [InlineData("  A = 1 \n")]
    [InlineData("A=\"pkcs11:a;b c\"\n")]
    [InlineData("A='x \"y\" z'\n")]
    [InlineData("A=\"x\\\"y\\n\"\n")]
    [InlineData("A=x\\\ny\n")]
    [InlineData("A=x\"y\"\n")]
    [InlineData("A='x'\"y\" z\n")]
    [InlineData("A=x # y\n")]
    [InlineData("A=\n")]
    [InlineData("#A=1\n;A=2\n")]
    [InlineData("export A=1\n")]
    [InlineData("1A=1\nA\n")]
    [InlineData("A=1\r\nB=2\r\n")]
    [InlineData("A=\"a\\\"b\\\\c\\$d\\`e'f\"\n")]
    public void Systemd_reads_a_file_as_we_do(string content)
    {
        var id = $"target-env-{Math.Abs(StringComparer.Ordinal.GetHashCode(content))}";
        sandbox.WriteFile($"/var/tmp/{id}.env", content);
        // printenv ends with 1, and so systemd-run, when the variable is not set.
        var read = sandbox.Run("systemd-run", "--quiet", "--pipe", "--wait", $"--unit={id}", $"--property=EnvironmentFile=/var/tmp/{id}.env", "printenv", "A");
        Assert.True(read.ExitCode is 0 or 1, read.ToString());
        Assert.Equal(read.ExitCode == 0 ? read.StdOut[..^1] : null, Services.Systemd.EnvironmentFile.Parse(content)["A"]);
    }

    static string[] Uris(JsonElement target) => [.. target.GetProperty("Uri").EnumerateArray().Select(u => u.GetString()!)];
}
