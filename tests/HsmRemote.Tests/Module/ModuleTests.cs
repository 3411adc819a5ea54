using System.Management.Automation;
using System.Reflection;
using System.Reflection.Emit;
using HsmRemote.Tests.Shell;

namespace HsmRemote.Tests.Module;

/// <summary>The module as a whole: what it exports, and how it loads.</summary>
public sealed class ModuleTests(Engine engine) : IDisposable
{
    static readonly string[] Cmdlets =
    [
        "Disconnect-P11KitConnection", "Export-Pkcs11Certificate", "Get-P11ContainerConfig", "Get-P11KitConnection", "Get-P11KitServer", "Get-P11SocketForward", "Get-P11TargetUri",
        "Get-Pkcs11Module", "Get-Pkcs11Object", "Get-Pkcs11Token", "Install-P11KitServer", "New-P11ContainerConfig", "New-P11SocketForward", "Register-Pkcs11Module", "Remove-P11SocketForward", "Restart-P11KitServer",
        "Set-P11TargetUri", "Start-P11KitServer", "Stop-P11KitServer", "Test-P11Socket", "Test-P11SocketForward", "Test-Pkcs11Uri",
        "Uninstall-P11KitServer", "Unregister-Pkcs11Module",
    ];

    readonly DirectoryInfo directory = Directory.CreateTempSubdirectory("hsmremote-tests-");

    public void Dispose() => directory.Delete(recursive: true);

    [Fact]
    public void It_exports_its_cmdlets_and_nothing_else()
    {
        var module = (PSModuleInfo)Assert.Single(engine.Run($"Test-ModuleManifest '{Checkout.Manifest}'").Check()).BaseObject;
        Assert.Equal(Cmdlets, module.ExportedCmdlets.Keys.Order(StringComparer.Ordinal));
        var exported = engine.Run("(Get-Module HsmRemote).ExportedCommands.Keys").Check();
        Assert.Equal(Cmdlets, exported.Select(e => (string)e.BaseObject).Order(StringComparer.Ordinal));
    }

    [Theory]
    [InlineData("Install-P11KitServer", true)]
    [InlineData("Uninstall-P11KitServer", true)]
    [InlineData("New-P11ContainerConfig", true)]
    [InlineData("Set-P11TargetUri", true)]
    [InlineData("Export-Pkcs11Certificate", true)]
    [InlineData("New-P11SocketForward", true)]
    [InlineData("Remove-P11SocketForward", true)]
    [InlineData("Start-P11KitServer", true)]
    [InlineData("Stop-P11KitServer", true)]
    [InlineData("Restart-P11KitServer", true)]
    [InlineData("Disconnect-P11KitConnection", true)]
    [InlineData("Get-P11KitConnection", false)]
    [InlineData("Get-P11ContainerConfig", false)]
    [InlineData("Get-P11KitServer", false)]
    [InlineData("Get-P11TargetUri", false)]
    [InlineData("Get-Pkcs11Object", false)]
    [InlineData("Get-Pkcs11Token", false)]
    [InlineData("Test-P11Socket", false)]
    [InlineData("Test-Pkcs11Uri", false)]
    public void What_changes_something_can_be_asked_what(string cmdlet, bool changes)
    {
        var parameters = engine.Run($"(Get-Command {cmdlet}).Parameters.Keys").Check().Select(p => (string)p.BaseObject).ToList();
        Assert.Equal(changes, parameters.Contains("WhatIf"));
        Assert.Equal(changes, parameters.Contains("Confirm"));
    }

    [Theory]
    [InlineData("Export-Pkcs11Certificate", "System.String")]
    [InlineData("Get-Pkcs11Object", "HsmRemote.Pkcs11Object")]
    [InlineData("Get-Pkcs11Token", "HsmRemote.Pkcs11Token")]
    [InlineData("Test-P11Socket", "HsmRemote.P11SocketTest")]
    [InlineData("Get-P11KitServer", "HsmRemote.P11KitServer")]
    [InlineData("Install-P11KitServer", "HsmRemote.P11ChangeResult")]
    [InlineData("Set-P11TargetUri", "HsmRemote.P11TargetResult")]
    [InlineData("Test-Pkcs11Uri", "HsmRemote.Pkcs11UriTest")]
    [InlineData("Get-P11ContainerConfig", "HsmRemote.P11ContainerConfig")]
    [InlineData("New-P11ContainerConfig", "HsmRemote.P11ContainerConfig")]
    [InlineData("New-P11ContainerConfig", "System.String")]
    public void It_says_what_it_gives(string cmdlet, string type) =>
        Assert.Contains(type, engine.Run($"(Get-Command {cmdlet}).OutputType.Name").Check().Select(t => (string)t.BaseObject));

    [Fact]
    public void What_it_gives_feeds_the_next_by_property_name()
    {
        // Uri of a token binds to -Uri, and Name and Scope of a server to -Name and -Scope: the names are the contract.
        foreach (var (type, property, cmdlet) in new[]
        {
            ("Pkcs11Token", "Uri", "Set-P11TargetUri"), ("P11TargetUri", "Uri", "Set-P11TargetUri"), ("P11TargetUri", "Name", "Set-P11TargetUri"), ("P11TargetUri", "Scope", "Set-P11TargetUri"), ("P11ChangeResult", "Name", "Set-P11TargetUri"),
            ("Pkcs11Token", "Uri", "Test-Pkcs11Uri"), ("Pkcs11UriTest", "Uri", "Set-P11TargetUri"),
            ("P11KitServer", "Name", "Test-P11Socket"), ("P11KitServer", "Name", "Get-Pkcs11Token"), ("P11KitServer", "Name", "Get-Pkcs11Object"), ("Pkcs11Object", "Uri", "Set-P11TargetUri"), ("P11KitServer", "Name", "Uninstall-P11KitServer"),
            ("P11KitServer", "Name", "New-P11ContainerConfig"), ("P11KitServer", "Scope", "Set-P11TargetUri"), ("P11KitServer", "Scope", "Get-P11TargetUri"), ("P11KitServer", "Scope", "Install-P11KitServer"), ("P11ContainerConfig", "Name", "Test-P11Socket"),
        })
        {
            Assert.NotNull(typeof(Pkcs11Token).Assembly.GetType($"HsmRemote.{type}")!.GetProperty(property));
            Assert.Equal(true, engine.Run($"(Get-Command {cmdlet}).Parameters['{property}'].Attributes.ValueFromPipelineByPropertyName").Check()[0].BaseObject);
        }
    }

    [Fact]
    public async Task It_loads_beside_other_versions_of_what_it_needs()
    {
        var dependencies = Directory.GetFiles(Path.Combine(Checkout.Module, "Dependencies"), "*.dll").Select(f => Path.GetFileNameWithoutExtension(f)!).ToList();
        Assert.Contains("Pkcs11Interop", dependencies);
        foreach (var name in dependencies)
        {
            var other = new PersistedAssemblyBuilder(new AssemblyName(name) { Version = new Version(99, 0) }, typeof(object).Assembly);
            other.DefineDynamicModule(name).DefineType("Other", TypeAttributes.Public).CreateType();
            other.Save(Path.Combine(directory.FullName, $"{name}.dll"));
        }

        var script = $$"""
            foreach ($file in [IO.Directory]::GetFiles('{{directory.FullName}}', '*.dll')) { [void] [Reflection.Assembly]::LoadFrom($file) }
            Import-Module '{{Checkout.Manifest}}'
            $tokens = Get-Pkcs11Token -IncludeTrust -IncludeUninitialized -ErrorAction SilentlyContinue -WarningAction SilentlyContinue
            $plan = Register-Pkcs11Module loads-diffplex /no/such/library.so -Force -WhatIf
            foreach ($assembly in [AppDomain]::CurrentDomain.GetAssemblies()) {
                if ($assembly.GetName().Name -in '{{string.Join("','", dependencies)}}') {
                    "$($assembly.GetName().Name) $($assembly.GetName().Version.Major -eq 99) $([Runtime.Loader.AssemblyLoadContext]::GetLoadContext($assembly).Name)"
                }
            }
            """;
        var result = await ShellProcess.RunAsync("-c", script);
        Assert.Equal("", result.Error);
        var loaded = result.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.All(dependencies, name => Assert.Contains($"{name} True Default", loaded));
        Assert.Contains("HsmRemote.Services False HsmRemote", loaded);
        Assert.Contains("DiffPlex False HsmRemote", loaded);
    }

    [Fact]
    public async Task It_imports_in_a_session_without_touching_services_or_third_parties()
    {
        var script = $"Import-Module '{Checkout.Manifest}'; (Get-Module HsmRemote).Version.ToString(); $null = Get-Command -Module HsmRemote; "
            + "foreach ($a in [AppDomain]::CurrentDomain.GetAssemblies()) { if ($a.Location -like '*Dependencies*') { $a.Location } }";
        var result = await ShellProcess.RunAsync("-c", script);
        Assert.Matches(@"^\d+\.\d+\.\d+\n$", result.Output);
    }

    [Fact]
    public async Task Without_systemd_the_error_says_so()
    {
        var process = ShellProcess.Start("/usr/bin/env",
        [
            "DBUS_SYSTEM_BUS_ADDRESS=unix:path=/nonexistent", ShellProcess.Executable, "-c",
            "try { Get-P11KitServer -ErrorAction Stop } catch { $_.FullyQualifiedErrorId; [string] $_.CategoryInfo.Category; $_.Exception.Message }",
        ]);
        process.StandardInput.Close();
        var lines = (await ShellProcess.FinishAsync(process)).Output.Split('\n');
        Assert.Equal("SystemdUnavailable,HsmRemote.Commands.GetP11KitServerCommand", lines[0]);
        Assert.Equal("ResourceUnavailable", lines[1]);
        Assert.Contains("systemctl is-system-running", lines[2], StringComparison.Ordinal);
    }
}
