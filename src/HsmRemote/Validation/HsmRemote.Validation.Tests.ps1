# Checks an instance on this host, from its unit to what a container gets, with Pester 5 or later; run it as root.
#
#   $container = New-PesterContainer -Path FILE -Data @{ Name = 'edge'; Uid = 5000; Gid = 992 }
#   Invoke-Pester -Container $container -Output Detailed
#
# It changes nothing. With -PinPath it logs in to the token once, and has its key sign. Get-Help about_HsmRemote_Validation
# tells what each check looks at.
param(
    # The instance.
    [Parameter(Mandatory)] [string] $Name,

    # Whose instance it is: the machine's, or the caller's own.
    [ValidateSet('System', 'User')] [string] $Scope = 'System',

    # Who has to be able to use the token, in numbers of the host. Without it, the caller.
    [Nullable[uint32]] $Uid,

    # The primary group of that user.
    [Nullable[uint32]] $Gid,

    # Its other groups, as an engine's --group-add gives them.
    [uint32[]] $SupplementaryGroup = @(),

    # Containers of podman or docker that use the instance, and run.
    [string[]] $Container = @(),

    # A file with the PIN to sign with.
    [string] $PinPath,

    # Files that hold secrets: .env files, files of PINs.
    [string[]] $SecretPath = @(),

    # The highest exposure level that systemd-analyze may give the service: from 0, nothing, to 10, everything.
    [ValidateRange(0, 10)] [double] $MaxExposure = 2
)

$identity = [ordered] @{}
if ($null -ne $Uid) { $identity.Uid = $Uid }
if ($null -ne $Gid) { $identity.Gid = $Gid }
if ($SupplementaryGroup) { $identity.SupplementaryGroup = $SupplementaryGroup }

Describe 'The instance <Name>' -ForEach @{
    Name        = $Name
    Scope       = $Scope
    Identity    = $identity
    Who         = if ($identity.Count) { $identity.Keys.ForEach({ "$_ $($identity[$_])" }) -join ', ' } else { 'the caller' }
    Containers  = $Container
    Signing     = if ($PinPath) { @{ PinPath = $PinPath } } else { @{} }
    Secrets     = @($SecretPath; $PinPath).Where({ $_ })
    MaxExposure = $MaxExposure
} {
    BeforeAll {
        Import-Module "$PSScriptRoot/../HsmRemote.psd1" -ErrorAction Stop
        $server = Get-P11KitServer -Name $Name -Scope $Scope -ErrorAction SilentlyContinue -ErrorVariable problem `
            -WarningAction SilentlyContinue -WarningVariable warning

        # What the configuration has and a server misreads is no URI, but a warning.
        function Assert-Readable {
            if ($warning) { throw "$($warning -join "`n")`nSet the target anew: ``Get-Pkcs11Token -Label LABEL | Set-P11TargetUri -Name $Name``" }
        }

        # That there is no such instance is said once.
        function Skip-Absent { if (-not $server) { Set-ItResult -Skipped -Because 'there is no such instance' } }

        # What a cmdlet said was wrong, and what it advised.
        function Get-Advice($ErrorRecord) { "$ErrorRecord`n$($ErrorRecord.ErrorDetails.RecommendedAction)" }

        function Assert-Success($Test) {
            if (-not $Test.Succeeded) { throw "$($Test.Cause): $($Test.Explanation)`n$($Test.Remedy)" }
        }

        # Nobody but its owner may change a file, or put another in its place.
        function Assert-Protected([string] $Path) {
            $item = Get-Item -LiteralPath (Get-Item -LiteralPath $Path -Force -ErrorAction Stop).ResolvedTarget -Force
            $isFile = $true
            while ($item) {
                $shared = $item.UnixFileMode -band [IO.UnixFileMode] 'GroupWrite, OtherWrite'
                if ($shared -and ($isFile -or -not ($item.UnixFileMode -band [IO.UnixFileMode]::StickyBit))) {
                    throw "$item is $($item.UnixMode) $($item.User):$($item.Group), so others than its owner can change $Path.`n``chmod go-w $item``"
                }
                $item = if ($isFile) { $item.Directory } else { $item.Parent }
                $isFile = $false
            }
        }
    }

    It 'is there' {
        if ($problem) { throw Get-Advice $problem[0] }
        $server | Should -Not -BeNullOrEmpty
    }

    Context 'its unit' {
        BeforeEach { Skip-Absent }

        It 'listens' {
            if ($server.State -ne 'Listening') {
                $journal = @($server.Log).Where({ $_ -and $_.Priority -le 'Warning' }).Message
                throw (@("$($server.Unit) is $($server.State): nobody can connect.") + $journal + "Start it: ``Start-P11KitServer -Name $Name``") -join "`n"
            }
        }

        It 'starts with the host' {
            if (-not $server.Enabled) {
                throw "$($server.Unit) is not enabled: after the next boot nobody can connect.`n``systemctl enable $($server.Unit)``"
            }
        }

        It 'is as it was installed' {
            if ($server.Drift) {
                throw "$($server.Drift.Path -join ', ') is not as Install-P11KitServer would write it, which would change:`n$($server.Drift.Difference -join "`n")`n" +
                    "Write it anew: ``Install-P11KitServer -Name $Name``. What is to stay belongs in a drop-in: ``systemctl edit``"
            }
        }

        It 'has a sandbox: an exposure level of at most <MaxExposure>' {
            if (-not (Get-Command systemd-analyze -ErrorAction Ignore)) { Set-ItResult -Skipped -Because 'there is no systemd-analyze' }
            $unit = $server.ServiceUnit.Replace('@.', '@1.')
            $mine = if ($Scope -eq 'User') { '--user' }
            $report = systemd-analyze $mine security --no-pager $unit 2>&1
            "$($report[-1])" -match '(?<Level>\d+\.\d+) \w+' | Should -BeTrue -Because "systemd-analyze says: $report"
            if ([double] $Matches.Level -gt $MaxExposure) {
                $dropIns = if ($server.DropInPath) { "It has drop-ins: $($server.DropInPath -join ', ').`n" }
                $remedy = if ($server.IsManaged) { "Write the unit anew: ``Install-P11KitServer -Name $Name``" } else { "Give it a sandbox: ``Install-P11KitServer -Name $Name -Adopt``" }
                throw "systemd-analyze security $unit gives $($Matches.Level), where 10 is no sandbox at all.`n$dropIns$remedy"
            }
        }
    }

    Context 'its target' {
        BeforeEach { Skip-Absent }

        It 'is read as it is meant' {
            Assert-Readable
            foreach ($test in $server.TargetUri | Test-Pkcs11Uri) {
                if ($test.Outcome -ne 'AsMeant') {
                    throw (@("The server makes something else of $($test.Text): $($test.Outcome).") + $test.Misreads + $test.Refusal +
                        "Set the target anew: ``Get-Pkcs11Token -Label LABEL | Set-P11TargetUri -Name $Name``").Where({ $_ }) -join "`n"
                }
            }
        }

        It 'is exposed' { Assert-Success (Test-P11Socket -Name $Name -Scope $Scope) }
    }

    Context 'its socket' {
        BeforeEach { Skip-Absent }

        It 'lets <Who> use the token' { Assert-Success (Test-P11Socket -Name $Name -Scope $Scope @Identity @Signing) }

        It 'is closed to others' {
            $test = Test-P11Socket -Name $Name -Scope $Scope -Uid 65534 -Gid 65534
            $mayWrite = $test.Checks.Where({ $_.Name -eq 'Permission' -and $_.Status -eq 'Passed' })
            if ($mayWrite -and $test.FailedCheck -ne 'Peer') {
                throw "$($test.SocketPath) is $($server.SocketMode): every process of this host can connect, such as $($test.Identity).`n" +
                    "Leave it to a group: ``Install-P11KitServer -Name $Name -Group GROUP -SocketMode 0660``"
            }
        }
    }

    if ($Containers) {
        Context 'the container <_>' -ForEach $Containers {
            It 'was started with what it needs' {
                $config = Get-P11ContainerConfig -Container $_ -Name $Name -ErrorAction SilentlyContinue -ErrorVariable problem
                if ($problem) { throw Get-Advice $problem[0] }
                if ($config.Differences) { throw "$($config.Differences -join "`n")`nIt needs: $($config.Text)" }
            }

            It 'gets the token' {
                $test = Test-P11Socket -Container $_ -ErrorAction SilentlyContinue -ErrorVariable problem
                if ($problem) { throw Get-Advice $problem[0] }
                Assert-Success $test
            }
        }
    }

    Context 'its configuration' {
        BeforeEach {
            Skip-Absent
            if (-not $server.ConfigPath) { Set-ItResult -Skipped -Because 'the target is in no file of its own' }
        }

        It 'can be changed by its owner only' { Assert-Protected $server.ConfigPath }

        It 'holds no PIN' {
            if (Select-String -LiteralPath $server.ConfigPath -Pattern 'pin-(value|source)=' -Quiet) {
                throw "$($server.ConfigPath) holds a URI with a PIN, and is no file for secrets. Change the PIN.`n" +
                    "Set the target anew, without it: ``Get-Pkcs11Token -Label LABEL | Set-P11TargetUri -Name $Name``"
            }
        }
    }

    if ($Secrets) {
        Context 'the secret <_>' -ForEach $Secrets {
            It 'is for its owner only' {
                $item = Get-Item -LiteralPath (Get-Item -LiteralPath $_ -Force -ErrorAction Stop).ResolvedTarget -Force
                if ($item.UnixFileMode -band -bnot [IO.UnixFileMode] 'UserRead, UserWrite') {
                    throw "$item is $($item.UnixMode) $($item.User):$($item.Group): others than its owner can read or change it. What they may have read is no secret any more.`n``chmod 0600 $item``"
                }
                Assert-Protected $_
            }
        }
    }
}
