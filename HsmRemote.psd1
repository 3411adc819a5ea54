@{
    RootModule           = 'HsmRemote.dll'
    ModuleVersion        = '0.1.0'
    GUID                 = '5a0c8f0e-6f0e-4b52-9a6c-2f1c7c1b7d34'
    Author               = 'The HsmRemote authors'
    CompanyName          = 'HsmRemote'
    Copyright            = '(c) The HsmRemote authors. MIT licence.'
    Description          = 'Gives a container the use of a key in a hardware token on the host, over a p11-kit socket, and proves that it works.'
    PowerShellVersion    = '7.6'
    CompatiblePSEditions = @('Core')
    FormatsToProcess     = @('Formatting/HsmRemote.format.ps1xml')
    CmdletsToExport      = @(
        'Disconnect-P11KitConnection'
        'Export-Pkcs11Certificate'
        'Get-P11ContainerConfig'
        'Get-P11KitConnection'
        'Get-P11KitServer'
        'Get-P11SocketForward'
        'Get-P11TargetUri'
        'Get-Pkcs11Module'
        'Get-Pkcs11Object'
        'Get-Pkcs11Token'
        'Install-P11KitServer'
        'New-P11ContainerConfig'
        'New-P11SocketForward'
        'Register-Pkcs11Module'
        'Remove-P11SocketForward'
        'Restart-P11KitServer'
        'Set-P11TargetUri'
        'Start-P11KitServer'
        'Stop-P11KitServer'
        'Test-P11Socket'
        'Test-P11SocketForward'
        'Test-Pkcs11Uri'
        'Uninstall-P11KitServer'
        'Unregister-Pkcs11Module'
    )
    FunctionsToExport    = @()
    AliasesToExport      = @()
    VariablesToExport    = @()
    PrivateData          = @{
        PSData = @{
            Tags       = @('PKCS11', 'p11-kit', 'HSM', 'Linux', 'Container', 'systemd', 'YubiKey', 'PSEdition_Core')
        }
    }
}
