$container = {
    Invoke-Container signer ('--user=5000:5000', '--group-add=992', '--volume=/run/edge:/run/edge:ro') ('/app', 'UNIX-CONNECT:/run/edge/pkcs11', 'PIPE')
    Wait-Until { Get-P11KitConnection edge }
}
@{
    'End the connections of one user'    = { Connect-User 5000; Connect-User 5001 }
    'End the connections of a container' = $container
    'See what would be ended'            = { Connect-User 5000 }
}
