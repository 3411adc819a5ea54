@{
    RootModule           = 'EmptyModule.dll'
    ModuleVersion        = '1.0'
    GUID                 = 'b3f7d6a2-6a55-4c0b-9d56-0f5f0d1f6f21'
    Author               = 'The HsmRemote authors'
    CompanyName          = 'HsmRemote'
    Copyright            = '(c) The HsmRemote authors. MIT licence.'
    Description          = 'One empty cmdlet, beside which the import of HsmRemote is measured.'
    PowerShellVersion    = '7.6'
    CompatiblePSEditions = @('Core')
    CmdletsToExport      = @('Test-Nothing')
    FunctionsToExport    = @()
    AliasesToExport      = @()
    VariablesToExport    = @()
    PrivateData          = @{
        PSData = @{
            Tags = @('PSEdition_Core')
        }
    }
}
