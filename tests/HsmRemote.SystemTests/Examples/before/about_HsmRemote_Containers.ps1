@{
    'ROOTLESS PODMAN'       = { useradd --groups hsm alice }
    'WHEN IT SEES NO SLOTS' = { Invoke-Container web ('--user=5000:5000', '--group-add=992', '--volume=/run/edge:/run/edge:ro', '--env=P11_KIT_SERVER_ADDRESS=unix:path=/run/edge/pkcs11') }
}
