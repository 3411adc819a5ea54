# The tasks. './build.sh TASK' finds or builds something to run this in: pwsh 7.6, or the project's own shell, which has the
# language and the engine's own cmdlets but not Write-Host, Join-Path or Get-Content; so this file uses .NET for those.
param(
    [ValidateSet('Build', 'Docs', 'Test', 'Demo', 'Bench', 'Fuzz', 'Package', 'Reproduce', 'Install', 'Screenshots')]
    [string] $Task = 'Build',

    [string] $Configuration = 'Release'
)

$ErrorActionPreference = 'Stop'
$root = $PSScriptRoot
$output = "$root/output"
$quiet = '--configuration', $Configuration, '--nologo', '--verbosity', 'quiet'

function Say([string] $Text) { $Host.UI.WriteLine("build.ps1: $Text") }

# Runs a program on the terminal that this script has; gives its exit status.
function Get-Status([string] $File, [string[]] $Arguments) {
    $start = [Diagnostics.ProcessStartInfo]::new($File, $Arguments)
    $start.UseShellExecute = $false
    $start.WorkingDirectory = $root
    $process = [Diagnostics.Process]::Start($start)
    $process.WaitForExit()
    $process.ExitCode
}

# Runs a program; its failure is this script's.
function Invoke-Program([string] $File, [string[]] $Arguments) {
    $status = Get-Status $File $Arguments
    if ($status -ne 0) {
        Say "'$File $($Arguments -join ' ')' failed with status $status."
        exit $status
    }
}

function Clear-Directory([string] $Path) {
    if ([IO.Directory]::Exists($Path)) { [IO.Directory]::Delete($Path, $true) }
}

function Invoke-Build {
    if ([Environment]::ProcessPath.StartsWith("$output/shell/")) {
        Say 'This is running in output/shell, which it has to replace; run ./build.sh instead.'
        exit 1
    }

    $watch = [Diagnostics.Stopwatch]::StartNew()
    Invoke-Program dotnet (@('build', 'HsmRemote.slnx') + $quiet)
    Say "compiled in $([int] $watch.Elapsed.TotalSeconds) s"

    # publish only adds, and a file that is no longer made would stay.
    $watch.Restart()
    Clear-Directory "$output/HsmRemote"
    Clear-Directory "$output/shell"
    foreach ($project in 'HsmRemote', 'HsmRemote.Services', 'HsmRemote.Shell') {
        Invoke-Program dotnet (@('publish', "src/$project", '--no-build') + $quiet)
    }
    Write-Help
    Test-Layout
    Say "published in $([int] $watch.Elapsed.TotalSeconds) s: output/HsmRemote, output/shell"
}

function Get-Program([string] $Name) { "$root/artifacts/bin/$Name/$($Configuration.ToLowerInvariant())/$Name" }

function Get-ModuleDirectory { [IO.Directory]::GetDirectories("$output/HsmRemote")[0] }

# Get-Help's files, from the pages; it fails when a page and a cmdlet differ.
function Write-Help {
    $program = Get-Program HsmRemote.Docs
    $module = Get-ModuleDirectory
    Invoke-Program $program ("$root/docs/en-US", $module, "$module/en-US")
}

# The module with its help, without the shell and the tests: for whoever writes the pages, and for packages.
function Invoke-Documentation {
    Invoke-Program dotnet (@('build', 'build/HsmRemote.Docs') + $quiet)
    Clear-Directory "$output/HsmRemote"
    foreach ($project in 'HsmRemote', 'HsmRemote.Services') { Invoke-Program dotnet (@('publish', "src/$project") + $quiet) }
    Write-Help
    Test-Layout
    Say "wrote $(Get-ModuleDirectory)/en-US"
}

# An administrator copies the module's directory as it is, so it holds what is imported and nothing else.
function Test-Layout {
    $module = Get-ModuleDirectory
    $needed = 'HsmRemote.dll', 'HsmRemote.psd1', 'HsmRemote.Abstractions.dll', 'en-US/HsmRemote.dll-Help.xml',
        'Validation/HsmRemote.Validation.Tests.ps1', 'Dependencies/HsmRemote.Services.dll', 'Dependencies/Pkcs11Interop.dll', 'Dependencies/DiffPlex.dll',
        'Dependencies/YamlDotNet.dll'
    $needed += 'json', 'ps1', 'sh' | ForEach-Object { "Dsc/p11kitserver.dsc.resource.$_" }
    $allowed = '^Formatting/\w+(\.\w+)*\.ps1xml$', '^en-US/about_\w+\.help\.txt$'
    $found = foreach ($file in [IO.Directory]::EnumerateFiles($module, '*', 'AllDirectories')) {
        [IO.Path]::GetRelativePath($module, $file)
    }
    $missing = $needed.Where({ $_ -notin $found })
    $stray = $found.Where({ $file = $_; $file -notin $needed -and -not $allowed.Where({ $file -match $_ }) })
    if ($missing -or $stray) {
        Say "${module}: missing: $missing; not expected: $stray"
        exit 1
    }
}

# Adds one test executable's results to $total.
function Add-XunitResult([hashtable] $Total, [string] $Name) {
    $program = Get-Program $Name
    $report = "$output/test-results/$Name.xml"
    Say $Name
    $status = Get-Status $program ('-result-xml', $report, '-noLogo', '-noColor')

    $xml = [xml]::new()
    if ([IO.File]::Exists($report)) { $xml.Load($report) }
    foreach ($assembly in $xml.SelectNodes('/assemblies/assembly')) { $Total.Passed += [int] $assembly.GetAttribute('passed') }
    $failed = @($xml.SelectNodes('//test[@result="Fail"] | //error')).ForEach({ "$($_.GetAttribute('name')): $($_.SelectSingleNode('.//message').InnerText.Trim())" })
    foreach ($test in $xml.SelectNodes('//test[@result="Skip"]')) {
        $Total.Skipped += "$($test.GetAttribute('name')): $($test.SelectSingleNode('reason').InnerText.Trim())"
    }
    if ($status -ne 0 -and -not $failed) { $failed = "${Name}: ended with status $status and reported no failure" }
    $Total.Failed += $failed
}

# What a program writes to standard output, line by line, or nothing when it fails.
function Get-Output([string] $File, [string[]] $Arguments) {
    $start = [Diagnostics.ProcessStartInfo]::new($File, $Arguments)
    $start.RedirectStandardOutput = $true
    $start.RedirectStandardError = $true
    $process = [Diagnostics.Process]::Start($start)
    $errors = $process.StandardError.ReadToEndAsync()
    $output = $process.StandardOutput.ReadToEnd().Trim()
    [void] $errors.Result
    $process.WaitForExit()
    if ($process.ExitCode -eq 0 -and $output) { $output.Split("`n") }
}

# The same promises as an administrator would check them: in the sandbox, with pwsh and Pester where they are installed.
function Add-PesterResult([hashtable] $Total) {
    # What build.sh got where none is installed.
    $tools = "$output/tools"
    $path = [Environment]::GetEnvironmentVariable('PATH')
    $pwsh = @($path.Split(':'); $tools).ForEach({ "$_/pwsh" }).Where({ [IO.File]::Exists($_) }, 'First')
    if (-not $pwsh) {
        $Total.Skipped += 'tests/Pester: pwsh is not installed'
        return
    }
    # Asked here: the sandbox has an environment of its own, without the caller's PSModulePath and home directory.
    $find = "`$env:PSModulePath += ':$tools/Modules'; (Import-Module Pester -MinimumVersion 5.0 -PassThru -ErrorAction Stop).ModuleBase; `$env:PSModulePath"
    $pester, $modulePath = Get-Output $pwsh[0] ('-NoProfile', '-NonInteractive', '-Command', $find)
    if (-not $modulePath) {
        $Total.Skipped += "tests/Pester: $($pwsh[0]) finds no Pester 5"
        return
    }

    Say 'tests/Pester'
    $start = [Diagnostics.ProcessStartInfo]::new("$root/tests/sandbox.sh", [string[]] ('env', "PATH=${path}:$tools", "PSModulePath=$modulePath", 'NO_COLOR=1', 'POWERSHELL_TELEMETRY_OPTOUT=1',
            'pwsh', '-NoProfile', '-NonInteractive', '-File', "$root/tests/Pester/Invoke-Test.ps1", '-PesterPath', "$pester/Pester.psd1"))
    $start.RedirectStandardOutput = $true
    $process = [Diagnostics.Process]::Start($start)
    $passed = $null
    while ($null -ne ($line = $process.StandardOutput.ReadLine())) {
        if ($line -match '^::skipped (.*)') { $Total.Skipped += "tests/Pester: $($Matches[1])" }
        elseif ($line -match '^::failed (.*)') { $Total.Failed += "tests/Pester: $($Matches[1])" }
        elseif ($line -match '^::passed (\d+)$') { $passed = [int] $Matches[1] }
        else { $Host.UI.WriteLine($line) }
    }
    $process.WaitForExit()

    if ($null -ne $passed) { $Total.Passed += $passed }
    elseif ($process.ExitCode -eq 77) { $Total.Skipped += 'tests/Pester: the sandbox cannot run here, see above' }
    else { $Total.Failed += "tests/Pester: ended with status $($process.ExitCode) and without a result" }
}

function Invoke-Test {
    Clear-Directory "$output/test-results"
    [void] [IO.Directory]::CreateDirectory("$output/test-results")
    $total = @{ Passed = 0; Failed = @(); Skipped = @() }
    foreach ($directory in [IO.Directory]::GetDirectories("$root/tests", '*Tests')) {
        Add-XunitResult $total ([IO.Path]::GetFileName($directory))
    }
    Add-PesterResult $total

    if ($total.Skipped) {
        Say 'SKIPPED, and therefore not known to work:'
        foreach ($skipped in $total.Skipped) { Say "  $skipped" }
    }
    # Said again: all that the tests wrote lies between.
    if ($total.Failed) {
        Say 'FAILED, and described above:'
        foreach ($failed in $total.Failed) { Say "  $failed" }
    }
    $Host.UI.WriteLine("$($total.Passed) passed, $($total.Failed.Count) failed, $($total.Skipped.Count) skipped")
    if ($total.Failed -or -not $total.Passed) { exit 1 }
}

# The manifest's data, read as Import-PowerShellDataFile does: as data, never run.
function Get-Manifest {
    $ast = [Management.Automation.Language.Parser]::ParseFile("$root/HsmRemote.psd1", [ref] $null, [ref] $null)
    $ast.Find({ $args[0] -is [Management.Automation.Language.HashtableAst] }, $false).SafeGetValue()
}

# Seconds since 1970 that stand in every package: of the commit, so that two builds of it give the same bytes.
function Get-PackageTime {
    $seconds = Get-Output git ('-C', $root, 'log', '-1', '--format=%ct')
    # Not a checkout: the first day that a zip file can tell.
    if ($seconds) { $seconds } else { '315532800' }
}

# What a PowerShell repository stores: the module's files, and a nuspec with the tags by which it is found.
function Write-ModulePackage([string] $Directory, [string] $Time) {
    $manifest = Get-Manifest
    $nuspec = [xml] '<package><metadata/><files><file src="**" target=""/></files></package>'
    $metadata = [ordered] @{
        id          = 'HsmRemote'
        version     = $manifest.ModuleVersion
        authors     = $manifest.Author
        owners      = $manifest.CompanyName
        description = $manifest.Description
        copyright   = $manifest.Copyright
        tags        = @('PSModule', 'PSIncludes_Cmdlet') + $manifest.CmdletsToExport.ForEach({ "PSCmdlet_$_"; "PSCommand_$_" }) + $manifest.PrivateData.PSData.Tags
    }
    foreach ($name in $metadata.Keys) {
        $nuspec.package['metadata'].AppendChild($nuspec.CreateElement($name)).InnerText = $metadata[$name]
    }
    $license = $nuspec.package['metadata'].AppendChild($nuspec.CreateElement('license'))
    $license.SetAttribute('type', 'expression')
    $license.InnerText = 'MIT'
    $nuspec.Save("$root/artifacts/HsmRemote.nuspec")
    $module = "$root/artifacts/package/module"
    # Not precompiled: what is, loads on one kind of processor only.
    Copy-Module $module '-p:PublishReadyToRun=false'
    Invoke-Program dotnet ('pack', 'build/HsmRemote.Package', '--nologo', '--verbosity', 'quiet', '--output', $Directory,
        "-p:NuspecFile=$root/artifacts/HsmRemote.nuspec", "-p:NuspecBasePath=$module", "-p:DeterministicTimestamp=$Time")
    Clear-Directory "$root/artifacts/package"
}

# The module as it is in output/, with assemblies that are published anew.
function Copy-Module([string] $Directory, [string[]] $Properties) {
    Clear-Directory $Directory
    [void] [IO.Directory]::CreateDirectory([IO.Path]::GetDirectoryName($Directory))
    Invoke-Program cp ('--recursive', (Get-ModuleDirectory), $Directory)
    # publish leaves a file that is newer than its own alone.
    foreach ($assembly in [IO.Directory]::GetFiles($Directory, '*.dll', 'AllDirectories')) { [IO.File]::Delete($assembly) }
    foreach ($project in 'HsmRemote', 'HsmRemote.Services') {
        Invoke-Program dotnet (@('publish', "src/$project", "-p:ModuleOutput=$Directory/") + $Properties + $quiet)
    }
}

# hsmremote, the module and .NET, for a machine that has none of them.
function Write-ShellPackage([string] $Directory, [string] $Time, [string] $Runtime) {
    $name = "hsmremote-$((Get-Manifest).ModuleVersion)-$Runtime"
    $stage = "$root/artifacts/package"
    Clear-Directory $stage
    # The sources are compiled once more; what the analyzers say of them is known from the build.
    $target = '--runtime', $Runtime, '-p:UseCurrentRuntimeIdentifier=false', '-p:RunAnalyzers=false'
    Invoke-Program dotnet (@('publish', 'src/HsmRemote.Shell', '--self-contained', 'true', "-p:PublishDir=$stage/$name/shell/") + $target + $quiet)
    Copy-Module "$stage/$name/HsmRemote/$((Get-Manifest).ModuleVersion)" (@('--self-contained', 'false') + $target)
    Invoke-Program cp ('LICENSE', "$stage/$name/LICENSE")
    # The modes are set too: the umask of whoever builds it must not show.
    Invoke-Program tar ('--create', '--sort=name', "--mtime=@$Time", '--owner=0', '--group=0', '--numeric-owner', '--mode=u=rwX,go=rX', '--format=gnu',
        "--directory=$stage", '--use-compress-program=gzip --no-name', "--file=$Directory/$name.tar.gz", $name)
    Clear-Directory $stage
}

function Invoke-Package {
    $watch = [Diagnostics.Stopwatch]::StartNew()
    $directory = "$output/packages"
    Clear-Directory $directory
    [void] [IO.Directory]::CreateDirectory($directory)
    $time = Get-PackageTime
    Write-ModulePackage $directory $time
    foreach ($runtime in 'linux-x64', 'linux-arm64') { Write-ShellPackage -Directory $directory -Time $time -Runtime $runtime }

    $files = [IO.Directory]::GetFiles($directory)
    [Array]::Sort($files, [StringComparer]::Ordinal)
    $sums = foreach ($file in $files) {
        $hash = [Convert]::ToHexStringLower([Security.Cryptography.SHA256]::HashData([IO.File]::ReadAllBytes($file)))
        "$hash  $([IO.Path]::GetFileName($file))"
    }
    # As 'sha256sum --check SHA256SUMS' reads it.
    [IO.File]::WriteAllLines("$directory/SHA256SUMS", [string[]] $sums)
    Say "packed in $([int] $watch.Elapsed.TotalSeconds) s: output/packages"
}

# Packs the last commit twice, in clones whose paths, umasks and time zones differ, and compares what comes out, to the byte.
function Invoke-Reproduction {
    $directory = [IO.Directory]::CreateTempSubdirectory('hsmremote-').FullName
    $origin = $root
    $sums = foreach ($clone in @{ Path = 'one'; Umask = '022'; Zone = 'UTC' }, @{ Path = 'some/other/place'; Umask = '077'; Zone = 'Asia/Tokyo' }) {
        $path = "$directory/$($clone.Path)"
        # The second of the first: the checkout may have another commit by then.
        Invoke-Program git ('clone', '--quiet', $origin, $path)
        $origin = $path
        Invoke-Program sh ('-c', "umask $($clone.Umask) && TZ=$($clone.Zone) exec '$path/build.sh' Package")
        , [IO.File]::ReadAllLines("$path/output/packages/SHA256SUMS")
    }
    $different = $sums[0].Where({ $_ -notin $sums[1] })
    if ($different) {
        Say "not the same in $directory/one and in $directory/some/other/place: $($different -replace '^\S+ +')"
        exit 1
    }
    Clear-Directory $directory
    foreach ($line in $sums[0]) { Say "the same twice: $line" }
}

# Where PowerShell looks for a user's own modules (about_PSModulePath).
function Invoke-Install {
    $data = [Environment]::GetEnvironmentVariable('XDG_DATA_HOME')
    if (-not $data) { $data = "$([Environment]::GetFolderPath('UserProfile'))/.local/share" }
    $source = Get-ModuleDirectory
    $target = "$data/powershell/Modules/HsmRemote/$([IO.Path]::GetFileName($source))"
    $old = [IO.Directory]::Exists($target)
    # Whole when it comes to its place: a session that starts meanwhile finds the old one or the new one.
    Clear-Directory "$target.new"
    [void] [IO.Directory]::CreateDirectory([IO.Path]::GetDirectoryName($target))
    Invoke-Program cp ('--recursive', $source, "$target.new")
    if ($old) { [IO.Directory]::Move($target, "$target.old") }
    [IO.Directory]::Move("$target.new", $target)
    Clear-Directory "$target.old"
    Say "installed in $target$(if ($old) { ', in the place of what was there; sessions that have imported it should be started anew' })"
}

switch ($Task) {
    { $_ -in 'Docs', 'Package' } { Invoke-Documentation }
    { $_ -notin 'Docs', 'Package', 'Reproduce' } { Invoke-Build }
}
switch ($Task) {
    'Test' { Invoke-Package; Invoke-Test }
    'Demo' { Invoke-Program "$root/tests/demo.sh" @() }
    'Bench' {
        Invoke-Program "$root/tests/sandbox.sh" @(Get-Program HsmRemote.Benchmarks)
        Invoke-Program "$root/tests/Benchmarks/fleet.sh" @()
    }
    'Package' { Invoke-Package }
    'Reproduce' { Invoke-Reproduction }
    'Install' { Invoke-Install }
    'Screenshots' { Invoke-Program "$root/docs/screenshots.sh" @() }
    'Fuzz' {
        Invoke-Program (Get-Program HsmRemote.Fuzz) @()
        Invoke-Program (Get-Program HsmRemote.Fuzz) @('uris')
    }
}
