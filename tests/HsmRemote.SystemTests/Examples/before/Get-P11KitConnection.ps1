$container = {
    Invoke-Container signer ('--user=5000:5000', '--group-add=992', '--volume=/run/edge:/run/edge:ro') ('/app', 'UNIX-CONNECT:/run/edge/pkcs11', 'PIPE')
    Wait-Until { Get-P11KitConnection edge }
}
@{
    'See who is connected'                = $container
    'Count the connections of a user'     = { Connect-User 5000; Connect-User 5001 }
    'Find connections with an old target' = { Connect-User 5000; Set-P11TargetUri edge 'pkcs11:token=edge-token' -KeepConnections }
    'End the connections of one user'     = { Connect-User 5000 }
}
