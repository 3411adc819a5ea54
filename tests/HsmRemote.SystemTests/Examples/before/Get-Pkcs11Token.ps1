@{
    'Expose a token by its URI'         = { Set-P11TargetUri edge @() }
    'Wait for a token to be plugged in' = {
        # "Plugged in" while the example waits: whole, as SoftHSM does not write it.
        bash -euc @'
            mkdir -p /var/lib/softhsm/plugged
            echo 'directories.tokendir = /var/lib/softhsm/plugged' >/run/examples/plugged.conf
            SOFTHSM2_CONF=/run/examples/plugged.conf softhsm2-util --init-token --free --label PIV_II --pin 123456 --so-pin 87654321 >/dev/null
            (sleep 1; mv /var/lib/softhsm/plugged/* /var/lib/softhsm/tokens/) >/dev/null 2>&1 &
'@
    }
}
