Describe 'PSScriptAnalyzer' {
    It 'has nothing to say on the scripts and the manifest' {
        if (-not (Get-Module -ListAvailable PSScriptAnalyzer)) { Set-ItResult -Skipped -Because 'PSScriptAnalyzer is not installed' }
        $root = "$PSScriptRoot/../.."
        $scripts = @(
            Get-ChildItem "$root/build.ps1", "$root/src", "$root/tests", "$root/deploy" -Recurse -Filter *.ps1
            # Where the files are that it names.
            Get-Item "$root/output/HsmRemote/*/HsmRemote.psd1"
        )
        $scripts.Count | Should -BeGreaterThan 8
        $scripts.FullName | Invoke-ScriptAnalyzer | ForEach-Object { "$($_.ScriptName), line $($_.Line): $($_.RuleName): $($_.Message)" } | Should -BeNullOrEmpty
    }
}
