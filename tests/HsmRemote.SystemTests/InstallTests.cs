using System.Text.Json;

namespace HsmRemote.SystemTests;

/// <summary>Install-, Get- and Uninstall-P11KitServer on a real systemd.</summary>
public sealed class InstallTests(SandboxFixture sandbox)
{
    [Fact]
    public void An_install_listens_for_the_group_and_exposes_nothing_until_it_is_told()
    {
        var result = sandbox.HsmRemote("Install-P11KitServer -Name inst-new -Group inst-new-users -GroupId 7001").SucceededWithOne();
        Assert.Equal("inst-new", Text(result, "Name"));
        Assert.True(result.GetProperty("Changed").GetBoolean());
        Assert.Equal(
            ["CreateFile", "CreateFile", "CreateDirectory", "CreateFile", "CreateGroup", "CreateFile", "EnableUnit", "ReloadManager", "StartUnit"],
            result.GetProperty("Changes").EnumerateArray().Select(c => Text(c, "Kind")));

        Assert.Equal("660 root inst-new-users socket", sandbox.Run("stat", "-c", "%a %U %G %F", "/run/inst-new/pkcs11").Succeeded());
        Assert.Equal("inst-new-users:x:7001:", sandbox.Run("getent", "group", "inst-new-users").Succeeded());
        Assert.Equal("enabled", sandbox.Run("systemctl", "is-enabled", "inst-new.socket").Succeeded());
        Assert.Equal("active", sandbox.Run("systemctl", "is-active", "inst-new.socket").Succeeded());
        Assert.Empty(sandbox.HsmRemote("Get-P11TargetUri inst-new").SucceededWithOne().GetProperty("Uri").EnumerateArray());

        var test = sandbox.HsmRemote("Test-P11Socket inst-new").SucceededWithOne();
        Assert.False(test.GetProperty("Succeeded").GetBoolean());
        Assert.Equal("NoTarget", Text(test, "Cause"));
        Assert.Contains("Set-P11TargetUri -Name inst-new", Text(test, "Remedy"), StringComparison.Ordinal);
    }

    [Fact]
    public void A_second_install_changes_nothing_and_nor_does_one_that_says_less()
    {
        sandbox.HsmRemote("Install-P11KitServer -Name inst-twice -Group root -SocketMode 0600").SucceededWithOne();
        foreach (var again in new[] { "-Group root -SocketMode 0600", "", "-Group root", "-SocketMode 600" })
        {
            var result = sandbox.HsmRemote($"Install-P11KitServer -Name inst-twice {again}").SucceededWithOne();
            Assert.False(result.GetProperty("Changed").GetBoolean(), result.ToString());
            Assert.Empty(result.GetProperty("Changes").EnumerateArray());
        }

        Assert.Equal("0600", Text(sandbox.HsmRemote("Get-P11KitServer inst-twice").SucceededWithOne(), "SocketMode"));
    }

    [Fact]
    public void WhatIf_lists_the_changes_that_a_run_would_make_and_makes_none()
    {
        const string Install = "Install-P11KitServer -Name inst-whatif -Group inst-whatif-users";
        var predicted = sandbox.HsmRemote($"{Install} -WhatIf").SucceededWithOne();
        Assert.True(predicted.GetProperty("WhatIf").GetBoolean());
        Assert.DoesNotContain("inst-whatif", sandbox.Look("ls -R /etc/systemd/system; cat /etc/group; ls /etc"), StringComparison.Ordinal);

        var made = sandbox.HsmRemote(Install).SucceededWithOne();
        Assert.Equal(Descriptions(predicted), Descriptions(made));
        var shown = sandbox.Run(SandboxFixture.ShellPath, "-NoProfile", "-Command", "Install-P11KitServer inst-whatif -SocketMode 0666 -WhatIf");
        Assert.Contains("-SocketMode=0660\n", Unindented(shown.Succeeded()), StringComparison.Ordinal);
        Assert.Contains("+SocketMode=0666\n", Unindented(shown.StdOut), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("inst-same-mode", "Install-P11KitServer inst-same-mode -SocketMode 0666 -SocketPath /run/inst-same-mode/other")]
    [InlineData("inst-same-form", "Install-P11KitServer inst-same-form -Mode Acceptor -Group inst-same-others")]
    [InlineData("inst-same-target", "Set-P11TargetUri inst-same-target pkcs11:token=other -Force")]
    [InlineData("inst-same-gone", "Uninstall-P11KitServer inst-same-gone")]
    public void WhatIf_lists_what_a_run_changes_of_what_is_there(string name, string command)
    {
        sandbox.HsmRemote($"Install-P11KitServer {name} -Group {name} -TargetUri pkcs11:token=one").SucceededWithOne();
        var predicted = sandbox.HsmRemote($"{command} -WhatIf").SucceededWithOne();
        var again = sandbox.HsmRemote($"{command} -WhatIf").SucceededWithOne();
        Assert.Equal(Descriptions(predicted), Descriptions(again));
        Assert.NotEmpty(Descriptions(predicted));
        Assert.Equal(Descriptions(predicted), Descriptions(sandbox.HsmRemote(command).SucceededWithOne()));
        Assert.Empty(Descriptions(sandbox.HsmRemote(command).SucceededWithOne()));
    }

    [Fact]
    public void Another_path_mode_and_group_converge_and_nothing_of_the_old_form_stays()
    {
        sandbox.HsmRemote("Install-P11KitServer -Name inst-move -Group inst-move-old").SucceededWithOne();
        sandbox.HsmRemote("Install-P11KitServer -Name inst-move -Group inst-move-new -SocketMode 0666 -SocketPath /run/inst-moved/sub/p11").SucceededWithOne();

        Assert.Equal("666 root inst-move-new", sandbox.Run("stat", "-c", "%a %U %G", "/run/inst-moved/sub/p11").Succeeded());
        Assert.NotEqual(0, sandbox.Run("test", "-e", "/run/inst-move").ExitCode);
        Assert.NotEqual(0, sandbox.Run("getent", "group", "inst-move-old").ExitCode);
        Assert.False(sandbox.HsmRemote("Install-P11KitServer -Name inst-move").SucceededWithOne().GetProperty("Changed").GetBoolean());
    }

    [Fact]
    public void What_drifted_is_put_right()
    {
        sandbox.HsmRemote("Install-P11KitServer -Name inst-drift").SucceededWithOne();
        sandbox.Shell("systemctl disable --now inst-drift.socket; sed -i s/SocketMode=0660/SocketMode=0777/ /etc/systemd/system/inst-drift.socket; chmod 600 /etc/systemd/system/inst-drift.socket")
            .Succeeded();
        // A stopped instance says less; what it is to be is given.
        var result = sandbox.HsmRemote("Install-P11KitServer -Name inst-drift -SocketMode 0660").SucceededWithOne();
        Assert.Equal(["ReplaceFile", "EnableUnit", "ReloadManager", "StartUnit"], result.GetProperty("Changes").EnumerateArray().Select(c => Text(c, "Kind")));
        Assert.Equal("660", sandbox.Run("stat", "-c", "%a", "/run/inst-drift/pkcs11").Succeeded());
        Assert.Equal("644", sandbox.Run("stat", "-c", "%a", "/etc/systemd/system/inst-drift.socket").Succeeded());
    }

    [Fact]
    public void A_run_that_is_told_to_end_undoes_what_it_has_changed_however_long_that_takes()
    {
        sandbox.HsmRemote("Install-P11KitServer inst-end").SucceededWithOne();
        // Longer than a shell waits for what does not stop.
        sandbox.WriteFile("/etc/systemd/system/inst-end.socket.d/slow.conf", "[Socket]\nExecStartPre=/bin/sleep 15\nExecStopPost=/bin/sleep 2\n");
        sandbox.Shell("systemctl daemon-reload; systemctl restart inst-end.socket").Succeeded();
        var before = HostState.Of(sandbox, "inst-end");

        var ended = sandbox.Shell($"""
            {SandboxFixture.ShellPath} -NoProfile -Command 'Install-P11KitServer inst-end -SocketMode 0666 -Verbose' >/dev/null &
            until [ "$(systemctl show -P SubState inst-end.socket)" = start-pre ]; do kill -0 $! || exit 9; sleep 0.1; done
            grep -q SocketMode=0666 /etc/systemd/system/inst-end.socket
            kill $!; status=0; wait $! || status=$?; echo $status
            """);

        Assert.Equal("143", ended.Succeeded());
        HostState.IsAsBefore(before, sandbox, "inst-end");
        Assert.Equal("active", sandbox.Run("systemctl", "is-active", "inst-end.socket").Succeeded());
        sandbox.HsmRemote("Uninstall-P11KitServer inst-end").SucceededWithOne();
    }

    [Fact]
    public void An_uninstall_leaves_no_trace_and_a_second_one_finds_nothing_to_do()
    {
        // With a target, since without one every connection ends at once.
        sandbox.HsmRemote("Install-P11KitServer -Name inst-gone -Group inst-gone-users -TargetUri pkcs11:token=inst-gone").SucceededWithOne();
        sandbox.WriteFile("/etc/systemd/system/inst-gone.socket.d/more.conf", "[Socket]\nBacklog=64\n");
        // A connection that is open goes too.
        sandbox.Run("systemctl", "daemon-reload").Succeeded();
        sandbox.Connect("inst-gone");

        Assert.True(sandbox.HsmRemote("Uninstall-P11KitServer inst-gone").SucceededWithOne().GetProperty("Changed").GetBoolean());

        Assert.Equal("", sandbox.Look("find /etc /run /var/lib/systemd -name '*inst-gone*'"));
        Assert.NotEqual(0, sandbox.Run("getent", "group", "inst-gone-users").ExitCode);
        Assert.Equal("", sandbox.Shell("(systemctl list-units --all --plain --no-legend; systemctl list-unit-files --plain --no-legend) | grep -v '^run-' | grep inst-gone || true").Succeeded());
        Assert.False(sandbox.HsmRemote("Uninstall-P11KitServer inst-gone").SucceededWithOne().GetProperty("Changed").GetBoolean());
    }

    [Fact]
    public void What_was_there_before_an_instance_stays_and_what_came_with_it_goes()
    {
        sandbox.Shell("install -d -o daemon -g daemon -m 2750 /run/inst-found; mkdir /etc/inst-found /srv/inst-found").Succeeded();
        sandbox.WriteFile("/etc/systemd/system/inst-found.socket.d/10-mine.conf", "[Socket]\nBacklog=64\n");
        sandbox.WriteFile("/etc/systemd/system/inst-found@.service.d/10-mine.conf", "[Service]\nNice=5\n");
        var before = HostState.Of(sandbox, "inst-found");

        sandbox.HsmRemote("Install-P11KitServer inst-found -SocketPath /run/inst-found/pkcs11").SucceededWithOne();
        sandbox.WriteFile("/etc/systemd/system/inst-found.socket.d/20-later.conf", "[Socket]\nBacklog=65\n");
        var changed = sandbox.HsmRemote("""
            Install-P11KitServer inst-found -Mode Acceptor
            Install-P11KitServer inst-found -Mode PerConnection -SocketPath /srv/inst-found/one/two/pkcs11
            Install-P11KitServer inst-found -SocketPath /srv/inst-found/one/three/pkcs11
            Install-P11KitServer inst-found
            (Get-P11KitServer inst-found).Drift.Count
            """).Succeeded();
        Assert.False(changed[3].GetProperty("Changed").GetBoolean(), changed[3].ToString());
        Assert.Equal(0, changed[4].GetInt32());
        Assert.Equal("/srv/inst-found/one\n/srv/inst-found/one/three", sandbox.Shell("find /srv/inst-found -mindepth 1 -type d | sort").Succeeded());

        sandbox.HsmRemote("Uninstall-P11KitServer inst-found").SucceededWithOne();
        HostState.IsAsBefore(before, sandbox, "inst-found");
        Assert.Equal("/srv/inst-found", sandbox.Shell("find /srv/inst-found").Succeeded());
    }

    [Fact]
    public void A_directory_that_came_with_one_of_two_instances_goes_with_the_last()
    {
        sandbox.HsmRemote("Install-P11KitServer inst-above1 -SocketPath /srv/inst-above/a/pkcs11; Install-P11KitServer inst-above2 -SocketPath /srv/inst-above/b/pkcs11; Uninstall-P11KitServer inst-above1").Succeeded();
        Assert.Equal("/srv/inst-above\n/srv/inst-above/b", sandbox.Shell("find /srv/inst-above -type d | sort").Succeeded());
        sandbox.HsmRemote("Uninstall-P11KitServer inst-above2").SucceededWithOne();
        Assert.NotEqual(0, sandbox.Run("test", "-e", "/srv/inst-above").ExitCode);
    }

    [Fact]
    public void An_instance_that_does_not_remember_what_came_with_it_leaves_no_trace_either()
    {
        var before = HostState.Of(sandbox, "inst-older");
        sandbox.HsmRemote("Install-P11KitServer inst-older").SucceededWithOne();
        sandbox.Shell("sed -i '/^Made=/d' /etc/systemd/system/inst-older.socket; systemctl daemon-reload").Succeeded();
        Assert.False(sandbox.HsmRemote("Install-P11KitServer inst-older").SucceededWithOne().GetProperty("Changed").GetBoolean());
        sandbox.HsmRemote("Uninstall-P11KitServer inst-older").SucceededWithOne();
        HostState.IsAsBefore(before, sandbox, "inst-older");
    }

    [Theory]
    [InlineData("config.env", "DB_URL=x\n")]
    [InlineData("sysusers.conf", "u inst-app\n")]
    public void A_configuration_of_somebody_elses_is_not_taken_for_an_instances(string file, string content)
    {
        sandbox.Shell("rm -rf /etc/inst-app").Succeeded();
        sandbox.WriteFile($"/etc/inst-app/{file}", content);
        var before = HostState.Of(sandbox, "inst-app");
        var result = sandbox.HsmRemote("try { Install-P11KitServer inst-app -ErrorAction Stop } catch { $_.FullyQualifiedErrorId; \"$($_.CategoryInfo.Category)\" }").Succeeded();
        Assert.StartsWith("ConfigInUse,", result[0].GetString(), StringComparison.Ordinal);
        Assert.Equal("InvalidOperation", result[1].GetString());
        HostState.IsAsBefore(before, sandbox, "inst-app");
    }

    [Fact]
    public void A_path_that_leads_to_another_instances_socket_is_refused()
    {
        sandbox.HsmRemote("Install-P11KitServer inst-path").SucceededWithOne();
        sandbox.Run("ln", "-s", "/run/inst-path", "/srv/inst-path").Succeeded();
        foreach (var path in new[] { "/run/inst-path/pkcs11", "/var/run/inst-path/pkcs11", "/srv/inst-path/pkcs11" })
        {
            var result = sandbox.HsmRemote($"Install-P11KitServer inst-path2 -SocketPath {path}");
            Assert.Equal(1, result.ExitCode);
            Assert.Contains("the instance 'inst-path' has it", result.UnfoldedStdErr, StringComparison.Ordinal);
        }

        // Its own socket by another path is no other's.
        sandbox.HsmRemote("Install-P11KitServer inst-path -SocketPath /var/run/inst-path/pkcs11; Uninstall-P11KitServer inst-path").Succeeded();
        Assert.NotEqual(0, sandbox.Run("test", "-e", "/run/inst-path").ExitCode);
    }

    [Fact]
    public void A_group_that_is_gone_comes_back_with_the_number_that_was_asked_for()
    {
        sandbox.HsmRemote("Install-P11KitServer inst-number -Group inst-number -GroupId 9921").SucceededWithOne();
        var written = sandbox.Run("cat", "/etc/inst-number/sysusers.conf").Succeeded();
        sandbox.Run("groupdel", "inst-number").Succeeded();
        sandbox.HsmRemote("Install-P11KitServer inst-number").SucceededWithOne();
        Assert.Equal("inst-number:x:9921:", sandbox.Run("getent", "group", "inst-number").Succeeded());
        Assert.Equal(written, sandbox.Run("cat", "/etc/inst-number/sysusers.conf").Succeeded());
        sandbox.HsmRemote("Uninstall-P11KitServer inst-number").SucceededWithOne();
    }

    [Fact]
    public void A_group_that_was_there_or_that_has_members_stays()
    {
        sandbox.Shell("groupadd --system inst-kept; useradd --system inst-member").Succeeded();
        sandbox.HsmRemote("Install-P11KitServer -Name inst-kept1 -Group inst-kept; Install-P11KitServer -Name inst-kept2 -Group inst-joined").Succeeded();
        sandbox.Run("gpasswd", "-a", "inst-member", "inst-joined").Succeeded();

        var result = sandbox.HsmRemote("Uninstall-P11KitServer inst-kept1, inst-kept2");
        Assert.Equal(2, result.Succeeded().Length);
        Assert.Contains("inst-joined stays: it is used by inst-member", result.StdErr, StringComparison.Ordinal);
        sandbox.Run("getent", "group", "inst-kept").Succeeded();
        sandbox.Run("getent", "group", "inst-joined").Succeeded();
    }

    [Fact]
    public void An_administrators_own_file_beside_ours_stays_and_is_told_of()
    {
        sandbox.HsmRemote("Install-P11KitServer -Name inst-notes").SucceededWithOne();
        sandbox.WriteFile("/etc/inst-notes/README", "mine");
        var result = sandbox.HsmRemote("Uninstall-P11KitServer inst-notes");
        result.SucceededWithOne();
        Assert.Contains("/etc/inst-notes stays", result.StdErr, StringComparison.Ordinal);
        Assert.Equal("README", sandbox.Run("ls", "/etc/inst-notes").Succeeded());
    }

    [Theory]
    [InlineData("Install-P11KitServer -Name dbus", "NameInUse")]
    [InlineData("Install-P11KitServer -Name ../x", "NameInvalid")]
    [InlineData("Install-P11KitServer -Name inst-bad -SocketPath relative", "SocketPathInvalid")]
    [InlineData("Install-P11KitServer -Name inst-bad -SocketPath /etc/passwd", "SocketPathInvalid")]
    [InlineData("Install-P11KitServer -Name inst-bad -SocketPath /run/systemd/journal/stdout", "SocketPathInvalid")]
    [InlineData("Install-P11KitServer -Name inst-bad -SocketPath /var/run/systemd/journal/stdout", "SocketPathInvalid")]
    [InlineData("Install-P11KitServer -Name inst-bad -SocketMode 0999", "ParameterArgumentValidationError")]
    [InlineData("Install-P11KitServer -Name inst-bad -Group 'no such'", "GroupInvalid")]
    [InlineData("Install-P11KitServer -Name inst-bad -Group root -GroupId 7", "GroupIdMismatch")]
    [InlineData("Install-P11KitServer -Name inst-bad -Group inst-bad-g -GroupId 0", "GroupIdInUse")]
    [InlineData("Install-P11KitServer -Name inst-bad -TargetUri 'pkcs11:token=a;;serial=9'", "UriMalformed")]
    [InlineData("Install-P11KitServer -Name inst-bad -TargetUri pkcs11:", "TargetUriExposesAll")]
    [InlineData("Install-P11KitServer -Name inst-bad -AllowPath ''", "AllowPathInvalid")]
    [InlineData("Install-P11KitServer -Name inst-bad -AllowPath $null, /srv", "AllowPathInvalid")]
    [InlineData("Install-P11KitServer -Name inst-bad -AllowDevice ''", "AllowDeviceInvalid")]
    [InlineData("Install-P11KitServer -Name inst-bad -AllowDevice $null, /dev/net/tun", "AllowDeviceInvalid")]
    [InlineData("Install-P11KitServer -Name inst-bad -Environment @{ A = $null }", "EnvironmentInvalid")]
    [InlineData("$twice = @{ A = 1 }; $twice[[char]'A'] = 2; Install-P11KitServer -Name inst-bad -Environment $twice", "EnvironmentInvalid")]
    [InlineData("Uninstall-P11KitServer -Name a/b", "NameInvalid")]
    [InlineData("Get-P11KitServer inst-bad", "ServerNotFound")]
    public void Bad_input_is_refused_before_anything_is_changed(string command, string errorId)
    {
        var result = sandbox.HsmRemote($$"""try { {{command}} -ErrorAction Stop } catch { $_.FullyQualifiedErrorId; "$($_.CategoryInfo.Category)"; $_.Exception.Message }""").Succeeded();
        Assert.StartsWith($"{errorId},", result[0].GetString(), StringComparison.Ordinal);
        Assert.NotEqual("NotSpecified", result[1].GetString());
        Assert.Equal("", sandbox.Look("find /etc /run -name 'inst-bad*'"));
    }

    [Fact]
    public void A_name_whose_units_are_somebody_elses_is_left_alone()
    {
        sandbox.WriteFile("/etc/systemd/system/inst-theirs.service", "[Service]\nExecStart=/bin/true\n");
        var result = sandbox.HsmRemote("Install-P11KitServer -Name inst-theirs");
        Assert.Equal(1, result.ExitCode);
        Assert.Contains("There is a unit inst-theirs.service that HsmRemote did not install", result.StdErr, StringComparison.Ordinal);
        Assert.NotEqual(0, sandbox.Run("test", "-e", "/etc/inst-theirs").ExitCode);
    }

    [Fact]
    public void A_masked_unit_is_named_with_the_way_out()
    {
        sandbox.Run("ln", "-s", "/dev/null", "/etc/systemd/system/inst-masked.socket").Succeeded();
        var result = sandbox.HsmRemote("Install-P11KitServer -Name inst-masked");
        Assert.Equal(1, result.ExitCode);
        Assert.Contains("systemctl unmask inst-masked.socket", result.StdErr, StringComparison.Ordinal);
        Assert.Equal("/dev/null", sandbox.Run("readlink", "/etc/systemd/system/inst-masked.socket").Succeeded());
    }

    [Fact]
    public void When_a_step_fails_all_is_undone_and_the_error_names_the_step()
    {
        // systemd cannot make a directory below a file, which only the start of the socket finds out.
        sandbox.WriteFile("/run/inst-blocked", "a file");
        var result = sandbox.HsmRemote("Install-P11KitServer -Name inst-undo -Group inst-undo-users -SocketPath /run/inst-blocked/x/pkcs11");
        Assert.Equal(1, result.ExitCode);
        Assert.Contains("start inst-undo.socket", result.StdErr, StringComparison.Ordinal);
        Assert.Contains("nothing has changed", result.StdErr, StringComparison.Ordinal);
        Assert.NotEqual(0, sandbox.Shell("ls -d /etc/inst-undo /etc/systemd/system/inst-undo* /etc/systemd/system/*/inst-undo* 2>/dev/null | grep .").ExitCode);
        Assert.NotEqual(0, sandbox.Run("getent", "group", "inst-undo-users").ExitCode);
        Assert.NotEqual(0, sandbox.Shell("systemctl list-units --all --plain --no-legend | grep inst-undo").ExitCode);
    }

    [Fact]
    public void When_a_change_of_a_running_instance_fails_it_runs_on_as_it_was()
    {
        sandbox.HsmRemote("Install-P11KitServer -Name inst-back").SucceededWithOne();
        sandbox.WriteFile("/run/inst-back-blocked", "a file");
        Assert.Equal(1, sandbox.HsmRemote("Install-P11KitServer -Name inst-back -SocketPath /run/inst-back-blocked/x/pkcs11").ExitCode);
        Assert.Equal("active", sandbox.Run("systemctl", "is-active", "inst-back.socket").Succeeded());
        Assert.Equal("socket", sandbox.Run("stat", "-c", "%F", "/run/inst-back/pkcs11").Succeeded());
        Assert.Equal("no", sandbox.Run("systemctl", "show", "-P", "NeedDaemonReload", "inst-back.socket").Succeeded());
    }

    [Fact]
    public void Who_is_not_root_is_told_so_before_anything_is_touched()
    {
        foreach (var command in new[] { "Install-P11KitServer inst-nobody", "Uninstall-P11KitServer inst-nobody", "Set-P11TargetUri inst-nobody pkcs11:token=x" })
        {
            var result = sandbox.Run("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", SandboxFixture.ShellPath, "-NoProfile", "-Command", command);
            Assert.Equal(1, result.ExitCode);
            Assert.Contains("needs root; nothing has been changed", result.StdErr, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void The_units_satisfy_systemd_and_confine_what_they_run()
    {
        sandbox.HsmRemote("Install-P11KitServer -Name inst-verify").SucceededWithOne();
        var verify = sandbox.Shell("systemd-analyze verify --man=no /etc/systemd/system/inst-verify.socket /etc/systemd/system/inst-verify@.service 2>&1 | grep inst-verify || true");
        Assert.Empty(verify.Succeeded());
        var exposure = sandbox.Shell("systemd-analyze security --no-pager inst-verify@1.service | tail -n 1").Succeeded();
        var level = double.Parse(exposure.Split(": ")[1].Split(' ')[0], System.Globalization.CultureInfo.InvariantCulture);
        Assert.True(level <= 1.5, exposure);
    }

    [Fact]
    public void What_runs_for_a_connection_cannot_reach_systemd_or_a_container_engine_or_read_secrets()
    {
        sandbox.HsmRemote("Install-P11KitServer inst-confined").SucceededWithOne();
        // In the place of a p11-kit that was taken over by its client. systemd-run shows that the attempt works elsewhere.
        const string Attempt = "systemd-run --wait --quiet touch /etc/inst-escaped-$0; cat /etc/shadow; ls /root /home /run/dbus /run/systemd; touch /etc/inst-touched-$0 /var/inst-touched-$0; ls /dev/vda; echo tried";
        sandbox.WriteFile("/opt/inst-attempt", Attempt);
        sandbox.WriteFile("/etc/systemd/system/inst-confined@.service.d/attempt.conf", "[Service]\nStandardError=socket\nExecStart=\nExecStart=/bin/sh -c '. /opt/inst-attempt' inside\n");
        sandbox.Shell("systemctl daemon-reload; sh -c '. /opt/inst-attempt' outside || true").Succeeded();
        sandbox.Run("test", "-e", "/etc/inst-escaped-outside").Succeeded();

        var said = sandbox.Shell("socat -t120 - UNIX-CONNECT:/run/inst-confined/pkcs11").Succeeded();

        Assert.EndsWith("tried", said, StringComparison.Ordinal);
        Assert.DoesNotContain("root:", said, StringComparison.Ordinal);
        Assert.NotEqual(0, sandbox.Run("test", "-e", "/etc/inst-escaped-inside").ExitCode);
        Assert.NotEqual(0, sandbox.Run("test", "-e", "/etc/inst-touched-inside").ExitCode);
        Assert.NotEqual(0, sandbox.Run("test", "-e", "/var/inst-touched-inside").ExitCode);
    }

    [Fact]
    public void A_group_that_two_instances_use_goes_with_the_last()
    {
        sandbox.HsmRemote("Install-P11KitServer inst-heir1 -Group inst-heirs -GroupId 7002; Install-P11KitServer inst-heir2 -Group inst-heirs").Succeeded();
        sandbox.HsmRemote("Uninstall-P11KitServer inst-heir1").SucceededWithOne();
        Assert.Equal("inst-heirs:x:7002:", sandbox.Run("getent", "group", "inst-heirs").Succeeded());
        sandbox.HsmRemote("Uninstall-P11KitServer inst-heir2").SucceededWithOne();
        Assert.NotEqual(0, sandbox.Run("getent", "group", "inst-heirs").ExitCode);
        Assert.Equal("", sandbox.Look("find /etc -name 'inst-heir*'"));
    }

    [Fact]
    public void One_that_cannot_be_removed_does_not_keep_the_others()
    {
        sandbox.WriteFile("/etc/systemd/system/inst-other.service", "[Service]\nExecStart=/usr/bin/p11-kit server -f -n /run/inst-other.sock pkcs11:token=x\n");
        sandbox.HsmRemote("Install-P11KitServer inst-mine").SucceededWithOne();
        var result = sandbox.HsmRemote("Uninstall-P11KitServer inst-other, inst-mine");
        Assert.Equal(1, result.ExitCode);
        Assert.Equal("inst-mine", Text(Assert.Single(result.Output), "Name"));
    }

    [Fact]
    public void Who_may_not_read_a_target_still_sees_the_instance()
    {
        sandbox.HsmRemote("Install-P11KitServer inst-secret -TargetUri pkcs11:token=x").SucceededWithOne();
        sandbox.Run("chmod", "0600", "/etc/inst-secret/config.env").Succeeded();
        var result = sandbox.Run("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", SandboxFixture.ShellPath, "-NoProfile", "-Command",
            "$s = Get-P11KitServer inst-secret; \"$($s.State) $($null -eq $s.TargetUri)\"; try { Get-P11TargetUri inst-secret -ErrorAction Stop } catch { $_.FullyQualifiedErrorId }");
        Assert.Equal(["Listening True", "ConfigUnreadable,HsmRemote.Commands.GetP11TargetUriCommand"], result.StdOut.Trim().Split('\n'));
        Assert.Contains("WARNING", result.StdErr, StringComparison.Ordinal);
    }

    [Fact]
    public void Instances_that_something_else_installed_are_shown_and_not_removed()
    {
        sandbox.WriteFile("/etc/inst-foreign/config.env", "TARGET_PKCS11_URI=pkcs11:token=foreign\n");
        sandbox.WriteFile("/etc/systemd/system/inst-foreign.service", """
            [Service]
            EnvironmentFile=/etc/inst-foreign/config.env
            ExecStart=/usr/bin/p11-kit server -f -n /run/inst-foreign.sock $TARGET_PKCS11_URI
            """);
        sandbox.Run("systemctl", "daemon-reload").Succeeded();
        var server = sandbox.HsmRemote("Get-P11KitServer inst-fore*").SucceededWithOne();
        Assert.Equal("Daemon", Text(server, "Mode"));
        Assert.Equal("Stopped", Text(server, "State"));
        Assert.Equal("/run/inst-foreign.sock", Text(server, "SocketPath"));
        Assert.False(server.GetProperty("IsManaged").GetBoolean());
        Assert.Equal("pkcs11:token=foreign", server.GetProperty("TargetUri")[0].GetString());

        var result = sandbox.HsmRemote("Uninstall-P11KitServer inst-foreign");
        Assert.Equal(1, result.ExitCode);
        Assert.Contains("was not installed by HsmRemote", result.StdErr, StringComparison.Ordinal);
        sandbox.Run("test", "-e", "/etc/systemd/system/inst-foreign.service").Succeeded();
    }

    static string Text(JsonElement element, string property) => element.GetProperty(property).GetString()!;

    static string[] Descriptions(JsonElement result) => [.. result.GetProperty("Changes").EnumerateArray().Select(c => Text(c, "Description"))];

    static string Unindented(string text) => string.Join('\n', text.Split('\n').Select(line => line.TrimStart()));
}
