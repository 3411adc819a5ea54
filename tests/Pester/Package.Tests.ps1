BeforeAll {
    # As an administrator has it who was given the package, and nothing else.
    $repository = New-Item -ItemType Directory "$TestDrive/repository"
    Copy-Item "$PSScriptRoot/../../output/packages/HsmRemote.*.nupkg" $repository
    Register-PSResourceRepository -Name pester -Uri $repository.FullName -Trusted
}

AfterAll { Unregister-PSResourceRepository -Name pester }

Describe 'The package, in a repository of files' {
    It 'is found, by its name and its tags' {
        (Find-PSResource -Name HsmRemote -Repository pester).Type | Should -Be Module
        (Find-PSResource -Tag PKCS11 -Repository pester).Name | Should -Be HsmRemote
    }

    It 'is installed, and is there in the next session' {
        Install-PSResource -Name HsmRemote -Repository pester
        $version = (Get-InstalledPSResource HsmRemote).Version
        env --unset=PSModulePath pwsh -NoProfile -NonInteractive -Command "Test-Pkcs11Uri 'pkcs11:token=a' -Quiet; (Get-Module HsmRemote).ModuleBase" |
            Should -Be 'True', "$HOME/.local/share/powershell/Modules/HsmRemote/$version"
        Uninstall-PSResource -Name HsmRemote
    }
}
