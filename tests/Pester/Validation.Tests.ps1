# What Validation/HsmRemote.Validation.Tests.ps1 says of instances that are as they should be, and of those that are not.
$wrongs = @(
    @{ Data = @{ Name = 'valid-stopped' }; Test = 'its unit.listens'; Says = 'Stopped', 'Start-P11KitServer -Name valid-stopped' }
    @{ Data = @{ Name = 'valid-disabled' }; Test = 'its unit.starts with the host'; Says = 'systemctl enable valid-disabled.socket' }
    @{ Data = @{ Name = 'valid-drifted' }; Test = 'its unit.is as it was installed'; Says = '-TimeoutSec=1', 'Install-P11KitServer -Name valid-drifted' }
    @{ Data = @{ Name = 'valid-bare' }; Test = 'its unit.has a sandbox: an exposure level of at most 2'; Says = 'systemd-analyze security valid-bare@1.service gives', 'valid-bare@.service.d/bare.conf' }
    @{ Data = @{ Name = 'valid-empty' }; Test = 'its target.is exposed'; Says = 'NoTarget', 'Set-P11TargetUri -Name valid-empty' }
    @{ Data = @{ Name = 'valid-misread' }; Test = 'its target.is read as it is meant'; Says = 'valid-misread', 'Set-P11TargetUri -Name valid-misread' }
    @{ Data = @{ Name = 'valid-sound'; Uid = 5001; Gid = 5001 }; Test = 'its socket.lets Uid 5001, Gid 5001 use the token'; Says = 'NotWritable', '--group-add 1992' }
    @{ Data = @{ Name = 'valid-open' }; Test = 'its socket.is closed to others'; Says = '0666', '-SocketMode 0660' }
    @{ Data = @{ Name = 'valid-writable' }; Test = 'its configuration.can be changed by its owner only'; Says = 'chmod go-w /etc/valid-writable/config.env' }
    @{ Data = @{ Name = 'valid-pin' }; Test = 'its configuration.holds no PIN'; Says = 'Change the PIN' }
    @{ Data = @{ Name = 'valid-sound'; SecretPath = '/root/valid-public.env' }; Test = 'the secret /root/valid-public.env.is for its owner only'; Says = 'chmod 0600 /root/valid-public.env' }
    @{ Data = @{ Name = 'valid-absent' }; Test = 'is there'; Says = "There is no p11-kit server 'valid-absent' on this host", 'Get-P11KitServer shows them' }
)

BeforeAll {
    . "$PSScriptRoot/Common.ps1"
    $file = "$(Split-Path $manifest)/Validation/HsmRemote.Validation.Tests.ps1"
    $pester = "$((Get-Module Pester).ModuleBase)/Pester.psd1"

    # In a process of its own, with the report that a CI system reads.
    function Invoke-Validation([hashtable[]] $Data, [string] $Format) {
        $report = "$TestDrive/report.xml"
        Remove-Item $report -ErrorAction Ignore
        Export-Clixml -InputObject $Data -Path "$TestDrive/data.xml"
        $said = Invoke-PowerShell "
            Import-Module '$pester'
            Invoke-Pester -Configuration @{
                Run        = @{ Container = New-PesterContainer -Path '$file' -Data (Import-Clixml '$TestDrive/data.xml') }
                Output     = @{ Verbosity = 'None' }
                TestResult = @{ Enabled = `$true; OutputFormat = '$Format'; OutputPath = '$report' }
            }"
        if (-not (Test-Path $report)) { throw "There is no report: $said" }
        [xml] (Get-Content $report -Raw)
    }

    function Install-Sound([string] $Name, [hashtable] $Option = @{}) {
        $null = Install-P11KitServer -Name $Name -Group valid @Option
        $null = Set-P11TargetUri -Name $Name -Uri 'pkcs11:token=valid-token'
    }

    Initialize-Token valid-token
    $null = Install-P11KitServer -Name valid-empty -Group valid -GroupId 1992
    foreach ($name in 'sound', 'stopped', 'disabled', 'drifted', 'bare', 'misread', 'writable', 'pin') { Install-Sound "valid-$name" }
    Install-Sound valid-open @{ SocketMode = '0666' }
    $null = Stop-P11KitServer valid-stopped
    systemctl --quiet disable valid-disabled.socket
    Add-Content /etc/systemd/system/valid-drifted@.service "[Service]`nTimeoutSec=1"
    $null = New-Item /etc/systemd/system/valid-bare@.service.d -ItemType Directory
    Set-Content /etc/systemd/system/valid-bare@.service.d/bare.conf "[Service]`nNoNewPrivileges=no`nPrivateNetwork=no`nProtectSystem=no`nSystemCallFilter=`nCapabilityBoundingSet=~"
    systemctl daemon-reload
    Set-Content /etc/valid-misread/config.env 'TARGET_PKCS11_URI="pkcs11:token=valid-token;;serial=9"'
    chmod 0666 /etc/valid-writable/config.env
    Set-Content /etc/valid-pin/config.env 'TARGET_PKCS11_URI="pkcs11:token=valid-token?pin-value=123456"'
    Set-Content /root/valid.pin 123456
    Set-Content /root/valid.env, /root/valid-public.env A=B
    chmod 0600 /root/valid.pin /root/valid.env
}

Describe 'The validation of a sound instance' {
    It 'passes, in a report of the form <_>' -ForEach 'NUnitXml', 'NUnit3', 'JUnitXml' {
        $data = @{ Name = 'valid-sound'; Uid = 5000; Gid = 1992; PinPath = '/root/valid.pin'; SecretPath = '/root/valid.env' }
        $report = Invoke-Validation $data $_
        $report.SelectNodes('//test-case | //testcase').Count | Should -Be 13
        $report.SelectNodes('//failure | //error | //skipped | //reason').OuterXml | Should -BeNullOrEmpty
    }
}

Describe 'The validation of an instance that is wrong in one way' -ForEach @{ Wrongs = $wrongs } {
    BeforeAll { $script:suites = (Invoke-Validation $Wrongs.Data JUnitXml).SelectNodes('/testsuites/testsuite') }

    It 'says the cause and the remedy: <Data.Name>, <Test>' -ForEach $wrongs {
        $suite = $suites[$Wrongs.Test.IndexOf($Test)]
        $message = $suite.SelectSingleNode("testcase[@name='The instance $($Data.Name).$Test']/failure/@message").Value
        foreach ($text in $Says) { $message | Should -BeLike "*$text*" }
    }
}

Describe 'The validation of a container' -Skip:(-not (Get-Command podman, crun -ErrorAction Ignore).Count) {
    BeforeAll {
        # A sandbox delegates no control groups and allows no raising of limits, and its root cannot carry another overlay.
        Set-Content /etc/containers/containers.conf "[containers]`ncgroups = `"disabled`"`ndefault_ulimits = []`n[engine]`nruntime = `"crun`"`ncgroup_manager = `"cgroupfs`"`nevents_logger = `"none`""
        Set-Content /etc/containers/storage.conf "[storage]`ndriver = `"overlay`"`ngraphroot = `"/run/containers-test/storage`"`nrunroot = `"/run/containers-test/run`""
        # All that it does is to be there.
        'int pause(void); int main(void) { return pause(); }' | gcc -x c -static -o "$TestDrive/pause" -
        tar --create --file "$TestDrive/image.tar" --directory $TestDrive pause
        podman import --quiet --change 'CMD ["/pause"]' "$TestDrive/image.tar" localhost/pause | Out-Null
        $needs = (New-P11ContainerConfig -Name valid-sound -Engine Podman -Image localhost/pause -Uid 5000 -AsObject).Arguments
        podman run --detach --network=none --name valid-good @needs | Out-Null
        podman run --detach --network=none --name valid-bad --user 5000:5000 --volume /run/valid-sound:/run/valid-sound localhost/pause | Out-Null
        $suites = (Invoke-Validation @(@{ Name = 'valid-sound'; Container = 'valid-good', 'valid-bad' }) JUnitXml).SelectNodes('/testsuites/testsuite')
        $script:cases = @{}
        foreach ($case in $suites.SelectNodes('testcase')) { $cases[$case.name] = "$($case.failure.message)" }
    }

    AfterAll { podman rm --force --time 0 valid-good valid-bad | Out-Null }

    It 'passes where it has what it needs' {
        $cases['The instance valid-sound.the container valid-good.was started with what it needs'] | Should -Be ''
        $cases['The instance valid-sound.the container valid-good.gets the token'] | Should -Be ''
    }

    It 'says what it lacks, and what it should have been started with' {
        $cases['The instance valid-sound.the container valid-bad.was started with what it needs'] | Should -BeLike '*Group: has none, needs 1992*--group-add 1992*'
        $cases['The instance valid-sound.the container valid-bad.gets the token'] | Should -BeLike '*AddressLost*P11_KIT_SERVER_ADDRESS=unix:path=*'
    }
}

Describe 'The commands of about_HsmRemote_Validation' {
    BeforeAll {
        Initialize-Token edge-token
        Install-P11KitServer edge -Group hsm -GroupId 992 -TargetUri 'pkcs11:token=edge-token' | Out-Null
    }

    AfterAll { Uninstall-P11KitServer edge | Out-Null }

    It 'validate the instance edge, and write a report' {
        $page = Get-Content "$PSScriptRoot/../../docs/en-US/about_HsmRemote_Validation.md" -Raw
        $blocks = [regex]::Matches($page, '(?ms)^```powershell\n(.*?)^```').ForEach({ $_.Groups[1].Value })
        $blocks.Count | Should -Be 3
        # As the reader has it: both modules where PowerShell finds them.
        $path = "$((Get-Module Pester).ModuleBase | Split-Path | Split-Path):$(Split-Path $manifest | Split-Path | Split-Path)"
        Set-Content "$TestDrive/page.ps1" "`$env:PSModulePath += ':$path'`nSet-Location '$TestDrive'`n$blocks"
        $said = (pwsh -NoProfile -NonInteractive -File "$TestDrive/page.ps1" 2>&1) -join "`n"
        $LASTEXITCODE | Should -Be 0 -Because $said
        $said | Should -BeLike '*Describing The instance edge*Tests Passed: 11, Failed: 0, Skipped: 0*'
        ([xml] (Get-Content "$TestDrive/hsmremote.xml" -Raw)).testsuites.tests | Should -Be 11
    }
}
