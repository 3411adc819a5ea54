$store = {
    bash -euc 'mkdir -p /srv/lab/tokens; echo "directories.tokendir = /srv/lab/tokens" >/srv/lab/softhsm2.conf'
}
@{
    'Install an instance for a group'                   = { Uninstall-P11KitServer edge }
    'Install an instance with its target'               = { Uninstall-P11KitServer edge }
    'Serve a SoftHSM store of its own'                  = $store
    'Run as an account of its own'                      = {
        & $store
        Install-P11KitServer lab -Environment @{ SOFTHSM2_CONF = '/srv/lab/softhsm2.conf' }
    }
    'Allow a token that is a USB device'                = { bash -c 'mkdir -p /dev/bus/usb' }
    'An instance of one''s own, for rootless containers' = { Uninstall-P11KitServer edge; systemctl start user@0.service }
    'Take over the instance of a package'               = {
        # What the package tedge-p11-kit-server puts in place, but for the user.
        bash -euc @'
            mkdir /etc/tedge-p11-kit-server
            echo TARGET_PKCS11_URI=pkcs11:token=edge-token >/etc/tedge-p11-kit-server/config.env
            cd /etc/systemd/system
            printf '%s\n' '[Socket]' ListenStream=/run/tedge-p11-kit-server/pkcs11 SocketMode=0660 '[Install]' WantedBy=sockets.target >tedge-p11-kit-server.socket
            printf '%s\n' '[Unit]' Requires=tedge-p11-kit-server.socket '[Service]' EnvironmentFile=-/etc/tedge-p11-kit-server/config.env \
                'ExecStart=/usr/bin/p11-kit server -f -n %t/tedge-p11-kit-server/pkcs11 "${TARGET_PKCS11_URI}"' >tedge-p11-kit-server.service
            systemctl daemon-reload
'@
    }
}
