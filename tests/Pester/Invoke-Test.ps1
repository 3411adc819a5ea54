# Runs the tests beside it, in the sandbox, whose token store and instances are theirs to fill. build.ps1 reads the lines
# that begin with '::'.
param(
    # Pester's manifest. Which one it is was decided outside of the sandbox.
    [Parameter(Mandatory)] [string] $PesterPath
)

$ErrorActionPreference = 'Stop'
Import-Module $PesterPath
$result = Invoke-Pester -Configuration @{
    Run    = @{ Path = $PSScriptRoot; PassThru = $true }
    Output = @{ Verbosity = 'Detailed'; RenderMode = 'Plaintext' }
}

foreach ($test in $result.Tests.Where({ $_.Result -in 'Skipped', 'Inconclusive' })) { "::skipped $($test.ExpandedPath): $($test.ErrorRecord)" }
foreach ($test in $result.Failed) { "::failed $($test.ExpandedPath): $($test.ErrorRecord[0])" }
# A file that cannot be read, or a set-up that fails, is not among the tests that failed; and no test at all is no success.
if (-not $result.Failed -and ($result.Result -ne 'Passed' -or $result.TotalCount -eq 0 -or $result.NotRunCount)) { '::failed a file or a set-up of it, described above' }
"::passed $($result.PassedCount)"
