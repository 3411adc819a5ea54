#!powershell

# The HsmRemote authors. MIT licence.

#AnsibleRequires -CSharpUtil Ansible.Basic

# An option is the parameter of Install-P11KitServer that it is named after.
$parameters = @{
    name = 'Name'; scope = 'Scope'; mode = 'Mode'; socket_path = 'SocketPath'; socket_mode = 'SocketMode'; group = 'Group'; group_id = 'GroupId'
    target_uri = 'TargetUri'; max_connections = 'MaxConnections'; max_connections_per_source = 'MaxConnectionsPerSource'
    peer_user = 'PeerUser'; peer_group = 'PeerGroup'; allow_path = 'AllowPath'; allow_device = 'AllowDevice'; environment = 'Environment'
    service_user = 'ServiceUser'; module = 'Module'; install_package = 'InstallPackage'; adopt = 'Adopt'; former_name = 'FormerName'
}

$spec = @{
    options             = @{
        name                       = @{ type = 'str'; required = $true }
        state                      = @{ type = 'str'; choices = 'present', 'absent'; default = 'present' }
        scope                      = @{ type = 'str'; choices = 'System', 'User' }
        mode                       = @{ type = 'str'; choices = 'PerConnection', 'Daemon', 'Acceptor' }
        socket_path                = @{ type = 'str' }
        socket_mode                = @{ type = 'raw' }
        group                      = @{ type = 'str' }
        group_id                   = @{ type = 'int' }
        target_uri                 = @{ type = 'list'; elements = 'str' }
        max_connections            = @{ type = 'int' }
        max_connections_per_source = @{ type = 'int' }
        peer_user                  = @{ type = 'str' }
        peer_group                 = @{ type = 'str' }
        allow_path                 = @{ type = 'list'; elements = 'str' }
        allow_device               = @{ type = 'list'; elements = 'str' }
        environment                = @{ type = 'dict' }
        service_user               = @{ type = 'str' }
        module                     = @{ type = 'list'; elements = 'str' }
        install_package            = @{ type = 'bool'; default = $false }
        adopt                      = @{ type = 'bool'; default = $false }
        former_name                = @{ type = 'str' }
    }
    supports_check_mode = $true
}
$module = [Ansible.Basic.AnsibleModule]::Create($args, $spec)

# What was written is not known any more: 0660 has become 432, which is a mode as well, of a socket that is open to everybody.
$mode = $module.Params['socket_mode']
if ($null -ne $mode -and $mode -isnot [string]) {
    $module.FailJson("socket_mode is the number $mode, and YAML makes another one of what begins with 0. Quote it, as in socket_mode: '0660'.")
}

try {
    Import-Module HsmRemote -ErrorAction Stop

    $arguments = @{ WhatIf = $module.CheckMode; Confirm = $false; ErrorAction = 'Stop'; WarningAction = 'SilentlyContinue'; WarningVariable = 'warnings' }
    $isAbsent = $module.Params['state'] -eq 'absent'
    foreach ($option in $parameters.Keys) {
        $value = $module.Params[$option]
        if ($null -eq $value -or ($isAbsent -and $option -notin 'name', 'scope')) { continue }
        # The cmdlet's type for it is not that of Ansible's dictionaries.
        if ($option -eq 'environment') {
            $table = @{}
            foreach ($name in $value.Keys) { $table[$name] = "$($value[$name])" }
            $value = $table
        }
        $arguments[$parameters[$option]] = $value
    }
    $result = if ($isAbsent) { Uninstall-P11KitServer @arguments } else { Install-P11KitServer @arguments }
    foreach ($warning in $warnings) { $module.Warn("$warning") }
}
catch {
    # The message of a cmdlet's error has the cause and the remedy.
    $module.FailJson($_.Exception.Message)
}

$module.Result['changed'] = $result.Changed
$module.Result['changes'] = [string[]] @(foreach ($change in $result.Changes) { $change.Description })
if ($module.DiffMode) {
    $module.Diff['prepared'] = -join @(foreach ($change in $result.Changes) { "$($change.Description)`n"; if ($change.Difference) { "$($change.Difference)`n" } })
}
$module.ExitJson()
