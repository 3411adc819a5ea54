Describe 'PSScriptAnalyzer' {
    It 'has nothing to say on the scripts and the manifest' {
        if (-not (Get-Module -ListAvailable PSScriptAnalyzer)) { Set-ItResult -Skipped -Because 'PSScriptAnalyzer is not installed' }
        $root = "$PSScriptRoot/../.."
        # The manifest where the files are that it names.
        $scripts = Get-Item "$root/build.ps1", "$root/tests/Pester/*.ps1", "$root/output/HsmRemote/*/HsmRemote.psd1", "$root/output/HsmRemote/*/Validation/*.ps1"
        $scripts.Count | Should -BeGreaterOrEqual 4
        $scripts.FullName | Invoke-ScriptAnalyzer | ForEach-Object { "$($_.ScriptName), line $($_.Line): $($_.RuleName): $($_.Message)" } | Should -BeNullOrEmpty
    }
}
