#!/usr/bin/env bash
# Makes the pictures of the README in docs/images: real commands in a throwaway sandbox, on a terminal of 100 columns, and what
# they answered there, in their own colours. './build.sh Screenshots' builds what it needs and runs it.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

# In the sandbox from here on.

# Everything that a picture does not show.
quietly() { "$@" >/dev/null 2>&1 || { echo "screenshots.sh: failed: $*" >&2; exit 1; }; }

powershell() { output/shell/hsmremote -NoProfile -NonInteractive -Command "$1"; }

# Shows commands, and what they answer on a terminal, as one picture of that name.
picture() {
    local command
    # ASCII's record and unit separators: no text has them.
    printf '\x1e%s\x1f' "$1"
    for command in "${@:2}"; do
        printf 'PS> %s\n' "$command"
        TERM=xterm-256color COMMAND=$command script --quiet --return --command \
            'stty cols 100 rows 100; output/shell/hsmremote -NoProfile -NonInteractive -Command "$COMMAND"' /dev/null </dev/null || true
    done
}

pictures() {
    local module=/usr/lib/softhsm/libsofthsm2.so label
    export PIN=1234 SO_PIN=12345678
    for label in edge-token lab-token; do
        quietly pkcs11-tool --module $module --init-token --slot-index "$([[ $label == edge-token ]] && echo 0 || echo 1)" --label $label --so-pin env:SO_PIN
        quietly pkcs11-tool --module $module --token-label $label --login --login-type so --so-pin env:SO_PIN --init-pin --new-pin env:PIN
    done
    quietly powershell '
        $ErrorActionPreference = "Stop"
        Install-P11KitServer edge -Group hsm -GroupId 992
        Install-P11KitServer gateway -Group hsm
        Install-P11KitServer lab
        Get-Pkcs11Token edge-token | Set-P11TargetUri edge
        @(Get-Pkcs11Token edge-token; Get-Pkcs11Token lab-token) | Set-P11TargetUri gateway
        Get-Pkcs11Token lab-token | Set-P11TargetUri lab
        Stop-P11KitServer lab'

    picture status 'Get-P11KitServer'
    picture ladder 'Test-P11Socket edge -Uid 5000 -Gid 992' 'Test-P11Socket edge -Uid 5001 -Gid 5001'
    picture plan 'Install-P11KitServer edge -SocketMode 0666 -MaxConnections 64 -WhatIf'
}

if [[ ${1-} == --pictures ]]; then
    pictures
    exit
fi

tests/sandbox.sh docs/screenshots.sh --pictures | docs/screenshots.py docs/images
