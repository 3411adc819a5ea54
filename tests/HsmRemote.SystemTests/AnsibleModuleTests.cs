using System.Text.Json;

namespace HsmRemote.SystemTests;

/// <summary>
/// The module in PowerShell, with Ansible's own Ansible.Basic, in hsmremote. What is run by hand only: ansible-core 2.21 and later, which wraps it on Linux, and pwsh.
/// </summary>
public sealed class AnsibleModuleTests(SandboxFixture sandbox)
{
    static readonly string _library = Path.Combine(SandboxFixture.RepositoryRoot, "artifacts/bin/AnsibleBasic/release/Ansible.Basic.dll");

    static readonly string _module = Path.Combine(SandboxFixture.RepositoryRoot, "deploy/ansible/plugins/modules/p11_kit_server.ps1");

    [Fact]
    public void An_instance_comes_and_goes_as_check_mode_says()
    {
        const string Options = "name = 'ansible-module'; group = 'ansible-module'; target_uri = @('pkcs11:token=a', 'pkcs11:token=b'); environment = @{ ANSIBLE_TEST = 1 }";
        var predicted = Run($"{Options}; _ansible_check_mode = $true; _ansible_diff = $true");
        Assert.True(predicted.GetProperty("changed").GetBoolean());
        Assert.NotEqual(0, sandbox.Run("test", "-e", "/etc/ansible-module").ExitCode);

        var made = Run($"{Options}; _ansible_diff = $true");
        Assert.True(made.GetProperty("changed").GetBoolean());
        Assert.Equal(predicted.GetProperty("changes").ToString(), made.GetProperty("changes").ToString());
        Assert.Equal(predicted.GetProperty("diff").ToString(), made.GetProperty("diff").ToString());
        Assert.Contains("\n+SocketGroup=ansible-module\n", made.GetProperty("diff").GetProperty("prepared").GetString(), StringComparison.Ordinal);
        Assert.Equal("pkcs11:token=a pkcs11:token=b", sandbox.HsmRemote("(Get-P11TargetUri ansible-module).Uri -join ' '").SucceededWithOne().GetString());
        Assert.False(Run(Options).GetProperty("changed").GetBoolean());

        const string Absent = "name = 'ansible-module'; state = 'absent'";
        Assert.True(Run($"{Absent}; _ansible_check_mode = $true").GetProperty("changed").GetBoolean());
        Assert.True(Run(Absent).GetProperty("changed").GetBoolean());
        Assert.False(Run(Absent).GetProperty("changed").GetBoolean());
    }

    [Fact]
    public void A_failure_has_the_cause_and_the_remedy_in_its_message()
    {
        var failed = Run("name = 'ansible-module-bad'; module = @('no-such-module-at-all')");
        Assert.True(failed.GetProperty("failed").GetBoolean());
        Assert.Contains("is not installed: no-such-module-at-all. Add -InstallPackage", failed.GetProperty("msg").GetString(), StringComparison.Ordinal);
        Assert.Contains("mode", Run("name = 'ansible-module-bad'; mode = 'Fast'").GetProperty("msg").GetString(), StringComparison.Ordinal);
    }

    [Fact]
    public void A_mode_that_YAML_has_made_a_number_of_is_refused()
    {
        var refused = Run("name = 'ansible-module-mode'; socket_mode = 432");
        Assert.Contains("Quote it, as in socket_mode: '0660'.", refused.GetProperty("msg").GetString(), StringComparison.Ordinal);
        Assert.NotEqual(0, sandbox.Run("test", "-e", "/etc/ansible-module-mode").ExitCode);
        Assert.True(Run("name = 'ansible-module-mode'; socket_mode = '0600'").GetProperty("changed").GetBoolean());
        Assert.Equal("600", sandbox.Run("stat", "-c", "%a", "/run/ansible-module-mode/pkcs11").Succeeded());
        Run("name = 'ansible-module-mode'; state = 'absent'");
    }

    [Fact]
    public void Its_options_are_the_parameters_of_the_cmdlet()
    {
        var parameters = sandbox.HsmRemote("(Get-Command Install-P11KitServer).Parameters.Keys").Succeeded().Select(name => name.GetString()!)
            .Except(["Verbose", "Debug", "WhatIf", "Confirm", "ProgressAction", "ErrorAction", "WarningAction", "InformationAction", "ErrorVariable", "WarningVariable",
                "InformationVariable", "OutVariable", "OutBuffer", "PipelineVariable"], StringComparer.Ordinal);
        var script = File.ReadAllText(_module);
        var documentation = File.ReadAllText(Path.ChangeExtension(_module, ".yml"));
        foreach (var parameter in parameters)
        {
            var option = string.Concat(parameter.Select((c, i) => i > 0 && char.IsUpper(c) ? $"_{char.ToLowerInvariant(c)}" : $"{char.ToLowerInvariant(c)}"));
            Assert.Contains($"{option} = '{parameter}'", script, StringComparison.Ordinal);
            Assert.Contains($"\n    {option}:\n", documentation, StringComparison.Ordinal);
        }
    }

    JsonElement Run(string options)
    {
        Assert.SkipUnless(new FileInfo(_library) is { Exists: true, Length: > 20_000 }, "ansible-core is not installed, of which Ansible.Basic is a part.");
        // ConvertTo-Json is not in hsmremote, and Ansible.Basic calls it for what it prints; its way out of a runspace is not, either.
        sandbox.WriteFile($"/tmp/ansible-module-{options.GetHashCode(StringComparison.Ordinal):x}.ps1", $$"""
            param([string] $Library, [string] $Module)
            [void] [Reflection.Assembly]::LoadFrom($Library)
            function ConvertTo-Json($InputObject, $Depth, [switch] $Compress) { [Newtonsoft.Json.JsonConvert]::SerializeObject($InputObject) }
            [Ansible.Basic.AnsibleModule]::Exit = { param($code) [Environment]::Exit($code) }
            $complex_args = @{ {{options}} }
            & $Module
            """);
        var output = sandbox.Run(
            SandboxFixture.ShellPath, "-NoProfile", "-NonInteractive", "-File", $"/tmp/ansible-module-{options.GetHashCode(StringComparison.Ordinal):x}.ps1", _library, _module).StdOut;
        using var document = JsonDocument.Parse(output.Trim().Split('\n')[^1]);
        return document.RootElement.Clone();
    }
}
