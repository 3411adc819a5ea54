$directory = (Get-Item "$PSScriptRoot/../../output/HsmRemote/*").FullName
$cmdlets = (Import-PowerShellDataFile "$directory/HsmRemote.psd1").CmdletsToExport
$topics = (Get-Item "$directory/en-US/about_*.help.txt").Name -replace '\.help\.txt$'

BeforeAll { . "$PSScriptRoot/Common.ps1" }

Describe 'The module' {
    It 'has a manifest that PowerShell takes' {
        $module = Test-ModuleManifest $manifest
        $module.Name | Should -Be HsmRemote
        $module.PowerShellVersion | Should -BeLessOrEqual $PSVersionTable.PSVersion
    }

    It 'exports the cmdlets that its manifest names, and nothing else' {
        $named = (Import-PowerShellDataFile $manifest).CmdletsToExport
        (Get-Module HsmRemote).ExportedCommands.Keys | Sort-Object | Should -Be ($named | Sort-Object)
    }

    It 'is imported without a word' {
        Invoke-PowerShell "Import-Module '$manifest' *>&1; 'done'" | Should -Be 'done'
    }

    It 'is found by the name of a cmdlet, where PowerShell looks for modules' {
        $parent = $manifest | Split-Path | Split-Path | Split-Path
        Invoke-PowerShell "`$env:PSModulePath += ':$parent'; Test-Pkcs11Uri 'pkcs11:token=a' -Quiet; (Get-Module HsmRemote).ModuleBase" |
            Should -Be 'True', (Split-Path $manifest)
    }

    It 'can be taken out of a session and put back' {
        Invoke-PowerShell "Import-Module '$manifest'; Remove-Module HsmRemote; Import-Module '$manifest' -Force; Test-Pkcs11Uri 'pkcs11:token=a' -Quiet" |
            Should -Be 'True'
    }

    It 'works in strict mode and in runspaces side by side' {
        $names = 1..4 | ForEach-Object -ThrottleLimit 4 -Parallel {
            Set-StrictMode -Version Latest
            Import-Module $using:manifest
            (Test-Pkcs11Uri 'pkcs11:token=a').Uri.Token
        }
        $names | Should -Be 'a', 'a', 'a', 'a'
    }

    It 'has the topic <_>' -ForEach $topics {
        (Get-Help $_) -join "`n" | Should -Match "TOPIC\s+$_"
    }
}

Describe '<_>' -ForEach $cmdlets {
    BeforeAll {
        $script:command = Get-Command $_
        $script:help = Get-Help $_ -Full
        $script:standard = [Management.Automation.Cmdlet]::CommonParameters + [Management.Automation.Cmdlet]::OptionalCommonParameters
    }

    It 'has an approved verb' { $command.Verb | Should -BeIn (Get-Verb).Verb }

    It 'says what it is for, with three examples' {
        $help.Synopsis | Should -Match '\.$'
        $help.description.Text | Should -Not -BeNullOrEmpty
        @($help.examples.example).Count | Should -BeGreaterOrEqual 3
    }

    It 'says what each parameter is' {
        $described = @($help.parameters.parameter).Where({ $_.description.Text }).name
        $command.Parameters.Keys | Where-Object { $_ -notin $standard } | Should -BeIn $described
    }

    It 'says what it gives' { $command.OutputType | Should -Not -BeNullOrEmpty }
}
