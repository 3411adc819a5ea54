# What the tests share; each file of them runs it before its first test.
$ErrorActionPreference = 'Stop'
$manifest = (Get-Item "$PSScriptRoot/../../output/HsmRemote/*/HsmRemote.psd1").FullName
Import-Module $manifest

# A SoftHSM token with an EC key in it.
function Initialize-Token([string] $Label) {
    softhsm2-util --init-token --free --label $Label --pin 123456 --so-pin 87654321 | Out-Null
    pkcs11-tool --module /usr/lib/softhsm/libsofthsm2.so --token-label $Label --login --pin 123456 `
        --keypairgen --key-type EC:prime256v1 --label key --id 01 2>&1 | Out-Null
    if ($LASTEXITCODE) { throw "The token $Label was not made." }
}

# A PowerShell of its own, which has imported nothing.
function Invoke-PowerShell([string] $Command) { pwsh -NoProfile -NonInteractive -Command $Command 2>&1 }
