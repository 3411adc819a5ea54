# The tasks. './build.sh TASK' finds or builds something to run this in: pwsh 7.6, or the project's own shell, which has the
# language and the engine's own cmdlets but not Write-Host, Join-Path or Get-Content; so this file uses .NET for those.
param(
    [ValidateSet('Build', 'Docs', 'Test', 'Demo', 'Bench', 'Fuzz')]
    [string] $Task = 'Build',

    [string] $Configuration = 'Release'
)

$ErrorActionPreference = 'Stop'
$root = $PSScriptRoot
$output = "$root/output"
$quiet = '--configuration', $Configuration, '--nologo', '--verbosity', 'quiet'

function Say([string] $Text) { [Console]::WriteLine("build.ps1: $Text") }

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

function Remove-Directory([string] $Path) {
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
    Remove-Directory "$output/HsmRemote"
    Remove-Directory "$output/shell"
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

# The module with its help, without the shell and the tests: for whoever writes the pages.
function Invoke-Docs {
    Invoke-Program dotnet (@('build', 'build/HsmRemote.Docs') + $quiet)
    foreach ($project in 'HsmRemote', 'HsmRemote.Services') { Invoke-Program dotnet (@('publish', "src/$project") + $quiet) }
    Write-Help
    Test-Layout
    Say "wrote $(Get-ModuleDirectory)/en-US"
}

# An administrator copies the module's directory as it is, so it holds what is imported and nothing else.
function Test-Layout {
    $module = Get-ModuleDirectory
    $needed = 'HsmRemote.dll', 'HsmRemote.psd1', 'HsmRemote.Abstractions.dll', 'en-US/HsmRemote.dll-Help.xml',
        'Dependencies/HsmRemote.Services.dll', 'Dependencies/Pkcs11Interop.dll', 'Dependencies/DiffPlex.dll',
        'Dependencies/YamlDotNet.dll'
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
    $failed = 0
    foreach ($assembly in $xml.SelectNodes('/assemblies/assembly')) {
        # Not $assembly.errors, which may be an element as well.
        $Total.Passed += [int] $assembly.GetAttribute('passed')
        $failed += [int] $assembly.GetAttribute('failed') + [int] $assembly.GetAttribute('errors')
    }
    foreach ($test in $xml.SelectNodes('//test[@result="Skip"]')) {
        $Total.Skipped += "$($test.GetAttribute('name')): $($test.SelectSingleNode('reason').InnerText.Trim())"
    }
    if ($status -ne 0 -and $failed -eq 0) {
        Say "$Name ended with status $status and reported no failure."
        $failed = 1
    }
    $Total.Failed += $failed
}

# The same promises as an administrator would check them: in the sandbox, with pwsh and Pester where they are installed.
function Add-PesterResult([hashtable] $Total) {
    if (-not [IO.Directory]::Exists("$root/tests/Pester")) { return }
    $pwsh = [Environment]::GetEnvironmentVariable('PATH').Split(':').ForEach({ "$_/pwsh" }).Where({ [IO.File]::Exists($_) }, 'First')
    if (-not $pwsh) {
        $Total.Skipped += 'tests/Pester: pwsh is not installed'
        return
    }

    Say 'tests/Pester'
    $script = @'
        if (-not (Get-Module -ListAvailable Pester)) { '::Pester is not installed'; exit }
        $result = Invoke-Pester -Path tests/Pester -PassThru
        "::$($result.PassedCount) $($result.FailedCount) $($result.SkippedCount)"
'@
    $start = [Diagnostics.ProcessStartInfo]::new("$root/tests/sandbox.sh", [string[]] ($pwsh[0], '-NoProfile', '-NonInteractive', '-Command', $script))
    $start.RedirectStandardOutput = $true
    $process = [Diagnostics.Process]::Start($start)
    $verdict = ''
    while ($null -ne ($line = $process.StandardOutput.ReadLine())) {
        if ($line.StartsWith('::')) { $verdict = $line.Substring(2) } else { [Console]::WriteLine($line) }
    }
    $process.WaitForExit()

    if ($verdict -match '^(\d+) (\d+) (\d+)$') {
        $Total.Passed += [int] $Matches[1]
        $Total.Failed += [int] $Matches[2]
        if ([int] $Matches[3]) { $Total.Skipped += @("tests/Pester: skipped by the test, see above") * [int] $Matches[3] }
    }
    elseif ($verdict) { $Total.Skipped += "tests/Pester: $verdict" }
    elseif ($process.ExitCode -eq 77) { $Total.Skipped += 'tests/Pester: the sandbox cannot run here, see above' }
    else {
        Say "tests/Pester ended with status $($process.ExitCode) and without a result."
        $Total.Failed++
    }
}

function Invoke-Test {
    Remove-Directory "$output/test-results"
    [void] [IO.Directory]::CreateDirectory("$output/test-results")
    $total = @{ Passed = 0; Failed = 0; Skipped = @() }
    foreach ($directory in [IO.Directory]::GetDirectories("$root/tests", '*Tests')) {
        Add-XunitResult $total ([IO.Path]::GetFileName($directory))
    }
    Add-PesterResult $total

    if ($total.Skipped) {
        Say 'SKIPPED, and therefore not known to work:'
        foreach ($skipped in $total.Skipped) { Say "  $skipped" }
    }
    [Console]::WriteLine("$($total.Passed) passed, $($total.Failed) failed, $($total.Skipped.Count) skipped")
    if ($total.Failed -or -not $total.Passed) { exit 1 }
}

if ($Task -eq 'Docs') { Invoke-Docs } else { Invoke-Build }
switch ($Task) {
    'Test' { Invoke-Test }
    'Demo' { Invoke-Program "$root/tests/demo.sh" @() }
    'Bench' { Invoke-Program "$root/tests/sandbox.sh" @(Get-Program HsmRemote.Benchmarks) }
    'Fuzz' {
        Invoke-Program (Get-Program HsmRemote.Fuzz) @()
        Invoke-Program (Get-Program HsmRemote.Fuzz) @('uris')
    }
}
