# The DSC resource HsmRemote/P11KitServer: JSON in on standard input, JSON out, messages as JSON lines on standard error. An operation
# is one cmdlet, and what it would change is that cmdlet's plan. Only .NET's JSON is used, which hsmremote has as well as pwsh.
param([ValidateSet('get', 'set', 'test', 'whatIf', 'delete', 'export')] [string] $Operation)

$ErrorActionPreference = 'Stop'
$failed = 1
$badInput = 2
$exit = $failed

# The instance's properties, and the parameters of Install-P11KitServer that they are. What is read but not set has none.
$parameters = [ordered] @{
    name = 'Name'; scope = 'Scope'; mode = 'Mode'; socketPath = 'SocketPath'; socketMode = 'SocketMode'; group = 'Group'; groupId = 'GroupId'
    targetUri = 'TargetUri'; maxConnections = 'MaxConnections'; maxConnectionsPerSource = 'MaxConnectionsPerSource'
    peerUser = 'PeerUser'; peerGroup = 'PeerGroup'; allowPath = 'AllowPath'; allowDevice = 'AllowDevice'; environment = 'Environment'; serviceUser = 'ServiceUser'
    module = 'Module'; installPackage = 'InstallPackage'; adopt = 'Adopt'
    _exist = $null; state = $null; enabled = $null; drift = $null; _inDesiredState = $null; _metadata = $null
}

# What an instance is told, and does not have; what it has, and is not told; and what says something of an operation.
$writeOnly = 'module', 'installPackage', 'adopt'
$readOnly = 'state', 'enabled', 'drift'
$remarks = '_inDesiredState', '_metadata'

# What becomes another with a property, and is not known before.
$changesWith = @{ group = 'groupId'; groupId = 'group'; mode = 'maxConnections', 'maxConnectionsPerSource', 'peerUser', 'peerGroup' }

function ConvertFrom-JsonElement([Text.Json.JsonElement] $Element) {
    switch ($Element.ValueKind) {
        'Object' {
            $table = [hashtable]::new([StringComparer]::Ordinal)
            foreach ($property in $Element.EnumerateObject()) { $table[$property.Name] = ConvertFrom-JsonElement $property.Value }
            return $table
        }
        'Array' { return , @(foreach ($item in $Element.EnumerateArray()) { ConvertFrom-JsonElement $item }) }
        'String' { return $Element.GetString() }
        'Number' { return [long] $Element.GetDouble() }
        'True' { return $true }
        'False' { return $false }
        default { return $null }
    }
}

function ConvertTo-JsonNode($Value) {
    if ($null -eq $Value) { return $null }
    if ($Value -is [bool]) { return [Text.Json.Nodes.JsonValue]::Create([bool] $Value) }
    if ($Value -is [int] -or $Value -is [uint] -or $Value -is [long]) { return [Text.Json.Nodes.JsonValue]::Create([long] $Value) }
    if ($Value -is [Collections.IDictionary]) {
        $object = [Text.Json.Nodes.JsonObject]::new()
        foreach ($key in $Value.Keys) { $object.Add([string] $key, (ConvertTo-JsonNode $Value[$key])) }
        return , $object
    }
    if ($Value -is [Collections.IEnumerable] -and $Value -isnot [string]) {
        $array = [Text.Json.Nodes.JsonArray]::new()
        foreach ($item in $Value) { $array.Add((ConvertTo-JsonNode $item)) }
        return , $array
    }
    return [Text.Json.Nodes.JsonValue]::Create([string] $Value)
}

# -WhatIf shows its plan on the host, whatever its output is sent to; on standard output there is to be JSON only.
$output = [Console]::Out
[Console]::SetOut([IO.TextWriter]::Null)
$relaxed = [Text.Json.JsonSerializerOptions]::new()
$relaxed.Encoder = [Text.Encodings.Web.JavaScriptEncoder]::UnsafeRelaxedJsonEscaping

function Write-Json($Value) { $output.WriteLine((ConvertTo-JsonNode $Value).ToJsonString($relaxed)) }

function Write-Message([string] $Kind, [string] $Text) { [Console]::Error.WriteLine((ConvertTo-JsonNode @{ $Kind = $Text }).ToJsonString($relaxed)) }

# What of a value is not as a schema says: all the keywords that the manifest's has and that do not only describe.
function Get-Violation([Text.Json.JsonElement] $Schema, [Text.Json.JsonElement] $Value, [string] $Name, [bool] $IsPart) {
    $type = $Schema.GetProperty('type').GetString()
    $isOfType = switch ($type) {
        'boolean' { $Value.ValueKind -in 'True', 'False' }
        'integer' { $Value.ValueKind -eq 'Number' -and $Value.GetDouble() % 1 -eq 0 }
        default { $Value.ValueKind -eq $type }
    }
    # What it is instead is not repeated: there may be a PIN in it.
    if (-not $isOfType) { return "$Name has to be of type $type." }

    foreach ($keyword in $Schema.EnumerateObject()) {
        $rule = $keyword.Value
        switch ($keyword.Name) {
            'enum' {
                $allowed = @(foreach ($one in $rule.EnumerateArray()) { $one.GetString() })
                if ($Value.GetString() -cnotin $allowed) { "$Name has to be one of $($allowed -join ', ')." }
            }
            # To .NET a '$' is before a line's end, too.
            'pattern' { if (-not [regex]::IsMatch($Value.GetString(), $rule.GetString().Replace('$', '\z'))) { "$Name has to match $rule." } }
            'minLength' { if ($Value.GetString().Length -lt $rule.GetInt32()) { "$Name has to have $rule or more characters." } }
            'maxLength' { if ($Value.GetString().Length -gt $rule.GetInt32()) { "$Name has to have $rule or fewer characters." } }
            'minimum' { if ($Value.GetDouble() -lt $rule.GetDouble()) { "$Name has to be $rule or more." } }
            'maximum' { if ($Value.GetDouble() -gt $rule.GetDouble()) { "$Name has to be $rule or less." } }
            'items' { foreach ($item in $Value.EnumerateArray()) { Get-Violation $rule $item "Each of $Name" } }
            'required' {
                $there = @(foreach ($property in $Value.EnumerateObject()) { $property.Name })
                foreach ($one in $rule.EnumerateArray()) { if (-not $IsPart -and $one.GetString() -cnotin $there) { "$Name has to have the property '$one'." } }
            }
            'additionalProperties' {
                $known = [hashtable]::new([StringComparer]::Ordinal)
                foreach ($part in $Schema.EnumerateObject().Where({ $_.Name -ceq 'properties' })) {
                    foreach ($property in $part.Value.EnumerateObject()) { $known[$property.Name] = $property.Value }
                }
                foreach ($property in $Value.EnumerateObject()) {
                    if ($known.ContainsKey($property.Name)) { Get-Violation $known[$property.Name] $property.Value $property.Name }
                    elseif ($rule.ValueKind -eq 'False') { "$Name has no property '$($property.Name)'." }
                    else { Get-Violation $rule $property.Value "$Name.$($property.Name)" }
                }
            }
        }
    }
}

# The instance that is wanted, or what those to export have in common, by the names of the schema.
function Read-Desired([bool] $IsFilter) {
    $text = if ($IsFilter -and -not [Console]::IsInputRedirected) { '' } else { [Console]::In.ReadToEnd() }
    if ($IsFilter -and -not $text.Trim()) { return @{} }
    $manifest = [Text.Json.JsonDocument]::Parse([IO.File]::ReadAllText([IO.Path]::Combine($PSScriptRoot, 'p11kitserver.dsc.resource.json')))
    try {
        $instance = [Text.Json.JsonDocument]::Parse($text).RootElement
        $violations = Get-Violation $manifest.RootElement.GetProperty('schema').GetProperty('embedded') $instance 'It' $IsFilter
        if ($violations) { throw $violations -join ' ' }
    }
    catch {
        $script:exit = $badInput
        throw "The input is no instance of HsmRemote/P11KitServer: $($_.Exception.GetBaseException().Message)"
    }
    $desired = ConvertFrom-JsonElement $instance
    # Whoever sets what was exported gives that as well.
    foreach ($name in $remarks + $(if ($IsFilter) { $writeOnly } else { $readOnly })) { $desired.Remove($name) }
    $desired
}

# What belongs to the cmdlet of an operation, of what is desired.
function Get-Argument([hashtable] $Desired, [string[]] $Only) {
    $arguments = @{}
    foreach ($name in $Desired.Keys) {
        if ($parameters[$name] -and (-not $Only -or $name -in $Only)) { $arguments[$parameters[$name]] = $Desired[$name] }
    }
    $arguments
}

function ConvertTo-State($Server) {
    $state = [ordered] @{ name = $Server.Name; _exist = $true; scope = $Server.Scope; mode = $Server.Mode }
    # A user's own has the user's group, and cannot be given one.
    $isUsers = $Server.Scope -eq 'User'
    foreach ($name in $parameters.Keys) {
        $property = $parameters[$name]
        if ($isUsers -and $name -in 'group', 'groupId') { continue }
        if ($property -and -not $state.Contains($name) -and $Server.PSObject.Properties[$property] -and $null -ne $Server.$property) { $state[$name] = $Server.$property }
    }
    $state.state = $Server.State
    $state.enabled = $Server.Enabled
    $state.drift = @(foreach ($change in $Server.Drift) { $change.Path })
    $state
}

function Get-Absence([hashtable] $Desired) {
    $state = [ordered] @{ name = $Desired['name']; _exist = $false }
    if ($Desired.ContainsKey('scope')) { $state.scope = $Desired['scope'] }
    $state
}

# The instance as it is: one that is not there exists with its name only.
function Get-State([hashtable] $Desired) {
    $arguments = Get-Argument $Desired 'name', 'scope'
    try { ConvertTo-State (Get-P11KitServer @arguments -WarningAction SilentlyContinue) }
    catch {
        if ($_.FullyQualifiedErrorId -notlike 'ServerNotFound,*') { throw }
        Get-Absence $Desired
    }
}

# Makes the instance be as desired or only gives the plan.
function Write-Instance([hashtable] $Desired, [bool] $PlanOnly) {
    if ($Desired['_exist'] -eq $false) {
        $arguments = Get-Argument $Desired 'name', 'scope'
        Uninstall-P11KitServer @arguments -WhatIf:$PlanOnly -Confirm:$false -WarningVariable warnings -WarningAction SilentlyContinue
    }
    else {
        $arguments = Get-Argument $Desired
        Install-P11KitServer @arguments -WhatIf:$PlanOnly -Confirm:$false -WarningVariable warnings -WarningAction SilentlyContinue
    }
    foreach ($warning in $warnings) { Write-Message warn $warning }
}

# What is desired, in the form in which an instance that has it shows it; null is what none shows.
function ConvertTo-Shown([hashtable] $Desired) {
    $shown = $Desired.Clone()
    if ($Desired['socketMode']) { $shown['socketMode'] = $Desired['socketMode'].PadLeft(4, '0') }
    if ($Desired['targetUri']) {
        $shown['targetUri'] = @()
        foreach ($text in $Desired['targetUri']) {
            $uri = $problem = $null
            if ([HsmRemote.Pkcs11Uri]::TryParse($text, [ref] $uri, [ref] $problem)) { $text = "$($uri.ToTokenUri())" }
            if ($text -cnotin $shown['targetUri']) { $shown['targetUri'] += $text }
        }
    }
    if ($Desired['environment']) {
        $shown['environment'] = [Collections.Generic.SortedDictionary[string, object]]::new([StringComparer]::Ordinal)
        foreach ($name in $Desired['environment'].Keys) { $shown['environment'][$name] = $Desired['environment'][$name] }
    }
    if ($Desired['maxConnectionsPerSource'] -eq 0) { $shown['maxConnectionsPerSource'] = $null }
    if ($Desired['serviceUser'] -ceq 'root') { $shown['serviceUser'] = $null }
    foreach ($name in 'peerUser', 'peerGroup') { if ($Desired[$name] -ceq '') { $shown[$name] = $null } }
    $shown
}

# The properties that are wanted and are not so.
function Get-Unlike([hashtable] $Wanted, [Collections.IDictionary] $Actual) {
    foreach ($name in $parameters.Keys) {
        if (-not $Wanted.ContainsKey($name) -or $name -in $writeOnly) { continue }
        if ((ConvertTo-JsonNode $Wanted[$name])?.ToJsonString() -cne (ConvertTo-JsonNode $Actual[$name])?.ToJsonString()) { $name }
    }
}

function Compare-State([hashtable] $Desired, [Collections.IDictionary] $Actual) {
    $wanted = ConvertTo-Shown $Desired
    $wanted['_exist'] = $Desired['_exist'] -ne $false
    Get-Unlike $wanted $Actual
    if ($wanted['_exist'] -and $Actual['_exist']) {
        if ($Actual['state'] -ne 'Listening') { 'state' }
        if (-not $Actual['enabled']) { 'enabled' }
        if ($Actual['drift']) { 'drift' }
    }
}

# The instance as set would give it, without what only setting it can tell.
function Get-Prediction([hashtable] $Desired) {
    if ($Desired['_exist'] -eq $false) { return Get-Absence $Desired }
    $wanted = ConvertTo-Shown $Desired
    $state = Get-State $Desired
    foreach ($name in @(Get-Unlike $wanted $state)) {
        foreach ($other in $changesWith[$name]) { if (-not $wanted.ContainsKey($other)) { $state.Remove($other) } }
        if ($null -eq $wanted[$name]) { $state.Remove($name) } else { $state[$name] = $wanted[$name] }
    }
    $state._exist = $true
    $state.state = 'Listening'
    $state.enabled = $true
    $state.drift = @()
    $state
}

# With an administrator's own WhatIfPreference nothing would be set.
$WhatIfPreference = $false
try {
    Import-Module ([IO.Path]::Combine($PSScriptRoot, '..', 'HsmRemote.psd1'))
    if ($Operation -eq 'export') {
        # What something else installed cannot be set as it is, so it is no instance of this resource.
        $filter = ConvertTo-Shown (Read-Desired $true)
        foreach ($server in Get-P11KitServer -Detailed -WarningAction SilentlyContinue) {
            $state = ConvertTo-State $server
            if (-not $server.IsManaged -or (Get-Unlike $filter $state)) { continue }
            # The same group has another number on another host.
            $state.Remove('groupId')
            Write-Json $state
        }
        exit 0
    }

    $desired = Read-Desired $false
    switch ($Operation) {
        'get' { Write-Json (Get-State $desired) }
        'test' {
            $plan = Write-Instance $desired $true
            $actual = Get-State $desired
            $unlike = @(if ($plan.Changed) { Compare-State $desired $actual })
            # What cannot be said by a property, such as a package that is missing.
            if ($plan.Changed -and -not $unlike) { $unlike = @('_inDesiredState') }
            $actual._inDesiredState = -not $plan.Changed
            Write-Json $actual
            Write-Json $unlike
        }
        'set' {
            $null = Write-Instance $desired $false
            Write-Json (Get-State $desired)
        }
        'whatIf' {
            $plan = Write-Instance $desired $true
            $state = Get-Prediction $desired
            $state._metadata = @{ whatIf = @(foreach ($change in $plan.Changes) { $change.Description; if ($change.Difference) { $change.Difference } }) }
            Write-Json $state
        }
        'delete' {
            $desired['_exist'] = $false
            $null = Write-Instance $desired $false
        }
    }
    exit 0
}
catch {
    Write-Message error $_.Exception.Message
    exit $exit
}
