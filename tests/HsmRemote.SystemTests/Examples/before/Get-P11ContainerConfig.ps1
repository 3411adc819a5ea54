$mistaken = { Invoke-Container web ('--user=5000:5000', '--volume=/run/edge/pkcs11:/run/edge/pkcs11', '--env=P11_KIT_SERVER_ADDRESS=unix:path=/run/edge/pkcs11') }
@{
    'Look at a container that sees no slots' = $mistaken
    'Look at all containers'                 = $mistaken
    'Say which instance it should use'       = { Invoke-Container web ('--user=5000:5000') }
}
