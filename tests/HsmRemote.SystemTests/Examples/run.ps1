# Runs in hsmremote in the sandbox. ExampleTests.cs writes what calls Invoke-Example, and reads what it writes: the text of each
# example between two lines that begin with a mark, the second with the types of its objects and the identifiers of its errors.
$ErrorActionPreference = 'Stop'
$mark = [char] 0x1e
# A ladder that is cut short by a busy machine says something else.
$global:PSDefaultParameterValues = @{ 'Test-P11Socket*:TimeoutSeconds' = 60 }

# What the preparations in before/ call.

# Holds a connection to edge as a user of a container would, until the next example.
function Connect-User([uint32] $Uid, [string] $Unit = "example-$Uid") {
    $report = systemd-run --quiet --collect --unit=$Unit setpriv --reuid=$Uid --regid=992 --clear-groups /run/examples/app UNIX-CONNECT:/run/edge/pkcs11 PIPE 2>&1
    if ($LASTEXITCODE) { throw "the user $Uid did not connect: $report" }
    Wait-Until { Get-P11KitConnection edge | Where-Object UserId -EQ $Uid }
}

# Starts a container of debian:12 with the sandbox's programs, until the next example.
function Invoke-Container([string] $Name, [string[]] $Options, [string[]] $Command = ('sleep', '600')) {
    bash -c 'touch /run/examples/containers'
    $report = podman run --detach --network=none --name $Name --volume /usr:/usr:ro --volume /run/examples/app:/app:ro @Options debian:12 @Command 2>&1
    if ($LASTEXITCODE) { throw "the container $Name did not start: $report" }
}

# Makes this host reachable by ssh as the host builder too, and forwards edge to it when a name is given, until the next example.
function Connect-Builder([string] $Forward) {
    bash -euc @'
        if [[ ! -e /root/.ssh/known_hosts ]]; then
            install -d -m 0700 /root/.ssh
            ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519
            cp /root/.ssh/id_ed25519.pub /root/.ssh/authorized_keys
            echo 127.0.0.1 builder >>/etc/hosts
            ssh-keygen -A >/dev/null
            mkdir -p /run/sshd
            rm -f /run/nologin
            systemd-run --quiet --unit=builder /usr/sbin/sshd -D -o ListenAddress=127.0.0.1
            until grep -q ':0016 00000000:0000 0A' /proc/net/tcp; do sleep 0.05; done
            echo "builder $(cut -d' ' -f1,2 /etc/ssh/ssh_host_ed25519_key.pub)" >/root/.ssh/known_hosts
        fi
'@
    if ($LASTEXITCODE) { throw 'sshd did not start' }
    if ($Forward) {
        New-P11SocketForward -Name edge -HostName builder -RemotePath /run/away/pkcs11 -Group hsm -Persist -ForwardName $Forward | Out-Null
    }
}

function Wait-Until([scriptblock] $Condition) {
    foreach ($i in 1..1200) {
        if (& $Condition) { return }
        [Threading.Thread]::Sleep(50)
    }
    throw "Not within 60 s: $Condition"
}

# The state in which every example begins.
function Clear-Sandbox {
    Get-P11SocketForward | Remove-P11SocketForward | Out-Null
    Get-P11KitServer | Where-Object { $_.IsManaged -and ($_.Name -ne 'edge' -or $_.Scope -eq 'User') } | Uninstall-P11KitServer | Out-Null
    $report = bash "$PSScriptRoot/prepare.sh" 2>&1
    if ($LASTEXITCODE) { throw "prepare.sh: $report" }
    # An instance that came without its group's number is made anew: a group is never renumbered.
    bash -c '[[ $(getent group hsm) == hsm:*:992:* ]]'
    if ($LASTEXITCODE) { Uninstall-P11KitServer edge | Out-Null }
    $edge = @{
        Name = 'edge'; Mode = 'PerConnection'; Group = 'hsm'; GroupId = 992; SocketMode = '0660'; ServiceUser = 'root'
        TargetUri = (Get-Pkcs11Token edge-token).Uri; AllowPath = @(); AllowDevice = @(); Environment = @{}
    }
    Install-P11KitServer @edge | Out-Null
    Start-P11KitServer edge | Out-Null
}

# Runs what does not end by itself in a process of its own, and presses Ctrl-C when it says that it waits for that.
function Invoke-UntilInterrupted([string] $Code) {
    [IO.File]::WriteAllText('/run/examples/interrupted.ps1', $Code)
    bash -c @'
        env --default-signal=INT "$0" -NoProfile -NonInteractive -File /run/examples/interrupted.ps1 >/run/examples/said 2>&1 &
        shell=$!
        for i in {1..600}; do grep -q 'Ctrl-C' /run/examples/said && break; kill -0 $shell 2>/dev/null || break; sleep 0.1; done
        # It was there until then, and the signal ended it.
        kill -INT $shell; signalled=$?
        wait $shell; cat /run/examples/said; exit $signalled
'@ ([Environment]::ProcessPath)
}

function Invoke-Example([string] $Title, [scriptblock] $Before, [string] $Code, [switch] $Interrupt) {
    [Console]::Out.WriteLine("${mark}begin $Title")
    $types = [Collections.Generic.List[string]]::new()
    $errors = [Collections.Generic.List[string]]::new()
    try {
        Clear-Sandbox
        if ($Before) { & $Before | Out-Null }
    }
    catch { $errors.Add("(before):`u{a0}$($_ -replace "\s", "`u{a0}")") }
    if (-not $errors) {
        $global:LASTEXITCODE = 0
        try {
            # As at a prompt: what fails is told, and what comes behind it goes on.
            $run = if ($Interrupt) { { Invoke-UntilInterrupted $Code } } else { [scriptblock]::Create($Code) }
            & { $ErrorActionPreference = 'Continue'; & $run } 2>&1 | ForEach-Object {
                # What a program writes to its standard error is no error.
                if ($null -eq $_) { return }
                if ($_ -isnot [Management.Automation.ErrorRecord]) { $types.Add($_.GetType().FullName) }
                elseif ($_.FullyQualifiedErrorId -notlike 'NativeCommandError*') { $errors.Add($_.FullyQualifiedErrorId.Split(',')[0]) }
                $_
            } | Out-Default
        }
        catch { $errors.Add($_.FullyQualifiedErrorId.Split(',')[0]); $_ | Out-Default }
        if ($global:LASTEXITCODE) { $errors.Add("status$global:LASTEXITCODE") }
    }
    [Console]::Out.WriteLine("${mark}end|$($types -join ' ')|$($errors -join ' ')")
}
