BeforeAll {
    . "$PSScriptRoot/Common.ps1"
    # A ladder that is cut short by a busy machine says something else.
    $PSDefaultParameterValues['Test-P11Socket:TimeoutSeconds'] = 60
    Initialize-Token pester-token
    Get-Pkcs11Token -Label pester-token | Should -Not -BeNullOrEmpty
}

Describe 'A server that is not there yet' {
    It 'is only told of with -WhatIf' {
        $said = Invoke-PowerShell "Import-Module '$manifest'; Install-P11KitServer -Name pester-whatif -Group pester-whatif -WhatIf"
        $said[0] | Should -Be "What if: Install the p11-kit server 'pester-whatif':"
        $said | Should -Contain '  Start pester-whatif.socket'
        Get-ChildItem /etc/systemd/system, /etc, /run -Filter 'pester-whatif*' | Should -BeNullOrEmpty
        Get-P11KitServer -Name pester-whatif* | Should -BeNullOrEmpty
    }

    It 'is an error with an identifier, a reason and an advice: <Command>' -ForEach @(
        @{ Command = 'Get-P11KitServer pester-none'; Id = 'ServerNotFound'; Category = 'ObjectNotFound' }
        @{ Command = 'Set-P11TargetUri pester-none pkcs11:token=pester-token'; Id = 'ServerNotFound'; Category = 'ObjectNotFound' }
        @{ Command = 'Install-P11KitServer pester-none -Group "a b"'; Id = 'GroupInvalid'; Category = 'InvalidArgument' }
        @{ Command = 'Get-Pkcs11Token -Label pester-none'; Id = 'TokenNotFound'; Category = 'ObjectNotFound' }
    ) {
        $problem = { & ([scriptblock]::Create($Command)) } | Should -Throw -PassThru
        $problem.FullyQualifiedErrorId | Should -BeLike "$Id,*"
        $problem.CategoryInfo.Category | Should -Be $Category
        $problem.ErrorDetails.RecommendedAction | Should -Not -BeNullOrEmpty
        '/etc/pester-none' | Should -Not -Exist
    }

    It 'takes root to install' {
        $said = setpriv --reuid 65534 --regid 65534 --clear-groups pwsh -NoProfile -NonInteractive -Command `
            "Import-Module '$manifest'; try { Install-P11KitServer pester-none -ErrorAction Stop } catch { `$_.CategoryInfo.Category }"
        $said | Should -Be 'PermissionDenied'
    }
}

Describe 'A server that was installed' {
    BeforeAll {
        $script:installed = Install-P11KitServer -Name pester-edge -Group pester-edge
        $script:targeted = Get-Pkcs11Token -Label pester-token | Set-P11TargetUri -Name pester-edge
        $script:server = Get-P11KitServer pester-edge
    }

    AfterAll { Uninstall-P11KitServer -Name pester-edge }

    It 'said what was changed' {
        $installed.Changed, $targeted.Changed | Should -Be $true, $true
        $installed.Changes.Description | Should -Contain 'Start pester-edge.socket'
    }

    It 'is not changed by the same again' {
        (Install-P11KitServer -Name pester-edge -Group pester-edge).Changed | Should -BeFalse
        (Get-Pkcs11Token -Label pester-token | Set-P11TargetUri -Name pester-edge).Changed | Should -BeFalse
    }

    It 'listens, for its group' {
        $server.State | Should -Be Listening
        $server.SocketPath | Should -Exist
        (Get-Item $server.SocketPath).UnixMode | Should -Be 'srw-rw----'
        (Get-Item $server.SocketPath).Group | Should -Be pester-edge
    }

    It 'gives its tokens to who is in the group' {
        Test-P11Socket -Name pester-edge -Uid 5000 -Gid $server.GroupId -Quiet | Should -BeTrue
        Test-P11Socket -Name pester-edge -Uid 5000 -Gid 5000 -SupplementaryGroup $server.GroupId -Quiet | Should -BeTrue
        (Get-Pkcs11Token -Name pester-edge).Label | Should -Be pester-token
    }

    It 'signs for who has the PIN' {
        $pin = [Net.NetworkCredential]::new('', '123456').SecurePassword
        $test = Test-P11Socket -Name pester-edge -Pin $pin
        $test.Checks.Where({ $_.Status -eq 'Passed' }).Name | Should -Contain Sign
    }

    It 'tells who is not in the group why not, and what to do' {
        $test = $server | Test-P11Socket -Uid 5001 -Gid 5001
        $test.Cause | Should -Be NotWritable
        $test.Remedy | Should -Match "--group-add $($server.GroupId)"
    }

    It 'tells a container what it needs' {
        $server | New-P11ContainerConfig -Engine Docker -Image debian:12 -Uid 5000 |
            Should -Match "--group-add $($server.GroupId) .*/run/pester-edge"
    }

    It "goes through PowerShell's own cmdlets" {
        $server | Select-Object Name, State | ConvertTo-Csv | Should -Contain '"pester-edge","Listening"'
        ($server | ConvertTo-Json -Depth 4 -WarningAction Ignore | ConvertFrom-Json).SocketPath | Should -Be $server.SocketPath
        Get-Pkcs11Token | Group-Object Model | ForEach-Object Name | Should -Contain 'SoftHSM v2'
        $server | Export-Clixml TestDrive:/server.xml
        (Import-Clixml TestDrive:/server.xml).Name | Should -Be pester-edge
    }

    It 'has a table that fits 100 columns' {
        $table = $server | Out-String -Width 100
        $table | Should -Match 'pester-edge +Listening .* pester-token'
        $table.Split("`n").Length | Measure-Object -Maximum | ForEach-Object Maximum | Should -BeLessOrEqual 100
    }

    It 'is completed: <Line>' -ForEach @(
        @{ Line = 'Get-P11KitServer pester-e'; Text = 'pester-edge' }
        @{ Line = 'Test-P11Socket -Name pester-e'; Text = 'pester-edge' }
        @{ Line = 'Get-Pkcs11Token -Label pester-t'; Text = 'pester-token' }
        @{ Line = 'Install-P11KitServer x -Group pester-e'; Text = 'pester-edge' }
    ) {
        # The first TAB of a session may give nothing on a busy machine: what it looked for is there for the next.
        for ($i = 0; $i -lt 100; $i++) {
            $offered = (TabExpansion2 $Line $Line.Length).CompletionMatches.CompletionText
            if ($offered -contains $Text) { break }
            Start-Sleep -Milliseconds 100
        }
        $offered | Should -Contain $Text
    }
}

Describe 'A server that was uninstalled' {
    It 'leaves nothing' {
        $null = Install-P11KitServer -Name pester-gone -Group pester-gone
        (Uninstall-P11KitServer -Name pester-gone).Changed | Should -BeTrue
        Get-ChildItem /etc/systemd/system, /etc, /run -Filter 'pester-gone*' | Should -BeNullOrEmpty
        getent group pester-gone | Should -BeNullOrEmpty
        Get-P11KitServer -Name pester-gone* | Should -BeNullOrEmpty
    }
}
