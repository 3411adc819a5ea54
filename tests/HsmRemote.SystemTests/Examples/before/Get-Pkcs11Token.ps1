@{
    'Expose a token by its URI'         = { Set-P11TargetUri edge @() }
    'Wait for a token to be plugged in' = {
        # "Plugged in" while the example waits.
        bash -c '(sleep 1; softhsm2-util --init-token --free --label PIV_II --pin 123456 --so-pin 87654321) >/dev/null 2>&1 &'
    }
}
