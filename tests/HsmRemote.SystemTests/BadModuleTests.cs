namespace HsmRemote.SystemTests;

/// <summary>Several modules at once, of which some crash, leave or hang.</summary>
public sealed class BadModuleTests(SandboxFixture sandbox)
{
    [Fact]
    public void Isolated_the_others_are_listed_and_all_are_read_side_by_side()
    {
        var modules = new PrivateModules(sandbox, "bad-isolated");
        modules.Write("modules/crash.module", $"module: {modules.Build("crash", "TOKEN_INFO=abort()")}\npriority: 9");
        modules.Write("modules/exit.module", $"module: {modules.Build("exit", "INITIALIZE=exit(0)")}\npriority: 8");
        for (var i = 0; i < 4; i++)
            modules.Write($"modules/slow{i}.module", $"module: {modules.Build($"slow{i}", $"LABEL=\"slow {i}\"", "INITIALIZE=sleep(10);return 0")}");
        var result = modules.HsmRemote("$watch = [Diagnostics.Stopwatch]::StartNew(); (Get-Pkcs11Token -Isolated -TimeoutSeconds 60).Label; $watch.Elapsed.TotalSeconds -lt 38");
        // One after the other they would have taken 40 s.
        Assert.Equal("slow 0\nslow 1\nslow 2\nslow 3\nTrue\n", result.StdOut);
        Assert.Contains("'crash'", result.StdErr, StringComparison.Ordinal);
        Assert.Contains("signal 6 in C_GetTokenInfo", result.StdErr.ReplaceLineEndings(" "), StringComparison.Ordinal);
        Assert.Contains("'exit'", result.StdErr, StringComparison.Ordinal);
    }

    [Fact]
    public void A_module_that_hangs_is_named_at_the_timeout_and_the_others_are_listed()
    {
        var modules = new PrivateModules(sandbox, "bad-hangs");
        modules.Write("modules/hangs.module", $"module: {modules.Build("hangs", "INITIALIZE=pause()")}\npriority: 9");
        modules.Write("modules/hangs-too.module", $"module: {modules.Build("hangs-too", "TOKEN_INFO=pause()")}\npriority: 8");
        modules.Write("modules/good.module", $"module: {modules.Build("good", "LABEL=\"good\"")}");
        var result = modules.HsmRemote("""
            $watch = [Diagnostics.Stopwatch]::StartNew(); (Get-Pkcs11Token good -TimeoutSeconds 20 -ErrorAction SilentlyContinue -ErrorVariable first).Label
            $watch.Elapsed.TotalSeconds -ge 19.9; $watch.Elapsed.TotalSeconds -lt 55
            $watch.Restart(); (Get-Pkcs11Token good -TimeoutSeconds 60 -ErrorAction SilentlyContinue -ErrorVariable second).Label; $watch.Elapsed.TotalSeconds -lt 30
            $first.ForEach{ "$_" }; $second.ForEach{ "$_" }
            """);
        var lines = result.StdOut.Split('\n');
        // What was left behind is not waited for again.
        Assert.Equal(["good", "True", "True", "good", "True"], lines.Take(5));
        foreach (var name in new[] { "'hangs'", "'hangs-too'" })
        {
            Assert.Contains(lines, line => line.StartsWith($"The module {name} (", StringComparison.Ordinal) && line.EndsWith("did not answer in 20 s.", StringComparison.Ordinal));
            Assert.Contains(lines, line => line.StartsWith($"The module {name} (", StringComparison.Ordinal) && line.Contains("has not returned from a call since", StringComparison.Ordinal));
        }
    }

    [Fact]
    public void In_this_process_a_module_that_leaves_takes_the_session_with_it_which_is_why_there_is_Isolated()
    {
        var modules = new PrivateModules(sandbox, "bad-exit");
        modules.Write("modules/exit.module", $"module: {modules.Build("exit", "INITIALIZE=exit(42)")}");
        Assert.Equal(42, modules.HsmRemote("Get-Pkcs11Token; 'still here'").ExitCode);
        var isolated = modules.HsmRemote("Get-Pkcs11Token -Isolated -ErrorAction SilentlyContinue; 'still here'");
        Assert.Equal("still here\n", isolated.StdOut);
    }
}
