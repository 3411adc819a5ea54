#!/usr/bin/env bash
# The whole story, for real: a token, a server for it, a container that signs with its key, and nothing left afterwards.
# It prints each command and what it answers, stops at the first that does not do what it should, and happens in a
# throwaway sandbox. './build.sh Demo' builds what it needs and runs it.
# shellcheck disable=SC2016 # What is in single quotes is PowerShell.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

# In the sandbox from here on: $1 is the image, or empty and $2 why there is none.

say() {
    echo
    printf '# %s\n' "$@"
}

fail() {
    printf '\nNOT AS IT SHOULD BE: %s\n' "$@" >&2
    exit 1
}

# Prints a command and runs it.
run() {
    printf '\n$ %s\n' "$1"
    eval "$1"
}

# Prints a command and runs it; it has to fail, because what it looks for is gone.
run_in_vain() {
    printf '\n$ %s\n' "$1"
    ! eval "$1" || fail 'it is still there'
}

# Prints a PowerShell command and runs it; $2 is what its output, $result, has to be like.
powershell() {
    printf '\nPS> %s\n' "$1"
    output/shell/hsmremote -NoProfile -NonInteractive -Command \
        '$PSDefaultParameterValues = @{ "Test-P11Socket:TimeoutSeconds" = 60 }; $result = @('"$1"'); $result; if (-not ('"$2"')) { exit 99 }' || fail "$2"
}

story() {
    local image=$1 why_no_image=${2-} group_id=992 client module
    # On a machine where that number is a group's already, the one below it.
    while getent group $group_id >/dev/null; do group_id=$((group_id - 1)); done
    client=$(echo /usr/lib/*/pkcs11/p11-kit-client.so)
    module=/usr/lib/softhsm/libsofthsm2.so
    exec 2>&1

    say 'A token with a key. This one is made of software; a YubiKey or a TPM is no different. Its PIN is in the' \
        'environment, because arguments can be read by every process of the machine.'
    PIN=$(openssl rand -hex 4) SO_PIN=$(openssl rand -hex 4)
    export PIN SO_PIN
    run "pkcs11-tool --module $module --init-token --slot-index 0 --label edge-token --so-pin env:SO_PIN"
    run "pkcs11-tool --module $module --token-label edge-token --login --login-type so --so-pin env:SO_PIN \\
    --init-pin --new-pin env:PIN"
    run "pkcs11-tool --module $module --token-label edge-token --login --pin env:PIN \\
    --keypairgen --key-type EC:prime256v1 --label edge-key --id 01"

    say "A socket for it, that the group $group_id may use."
    powershell "Install-P11KitServer -Name edge -Group hsm -GroupId $group_id" '$result.Changed'
    powershell "Get-Pkcs11Token -Label edge-token | Set-P11TargetUri -Name edge" '$result.Changed'
    powershell "Get-P11KitServer edge" '$result.State -eq "Listening"'

    say 'Installing it again finds nothing to change.'
    powershell "Install-P11KitServer -Name edge -Group hsm -GroupId $group_id" '-not $result.Changed'

    say "Would a container that runs as user 5000 with group $group_id get the token?"
    powershell "Test-P11Socket -Name edge -Uid 5000 -Gid $group_id" '$result.Succeeded'

    say 'And one without the group? No, and this is why, and what to do about it.'
    powershell "Test-P11Socket -Name edge -Uid 5001 -Gid 5001" '$result.Cause -eq "NotWritable"'
    powershell "(Test-P11Socket -Name edge -Uid 5001 -Gid 5001).Remedy" '$result'

    if [[ $image ]]; then
        in_container "$image"
    else
        say "SKIPPED, the container: $why_no_image"
    fi

    journalctl --sync
    say 'Who connected?'
    run "journalctl --quiet --no-hostname --output=short -u 'edge@*' | grep Started | tail -n 4"

    say 'Away with it.'
    powershell "Uninstall-P11KitServer edge" '$result.Changed'
    run_in_vain "find /etc /run -name edge -or -name 'edge[.@]*' | grep ."
    run_in_vain "systemctl status edge.socket"
    run_in_vain "getent group hsm"
}

# Signs a file in a container.
in_container() {
    local work=/var/tmp/work peculiarities=/var/tmp/containers
    mkdir -p $work $peculiarities
    chown 5000:5000 $work
    # A sandbox delegates no control groups and allows no raising of limits, and its root cannot carry another overlay.
    cat >$peculiarities/containers.conf <<END
[containers]
cgroups = "disabled"
default_ulimits = []
[engine]
runtime = "crun"
cgroup_manager = "cgroupfs"
events_logger = "none"
END
    cat >$peculiarities/storage.conf <<END
[storage]
driver = "vfs"
graphroot = "$peculiarities/storage"
runroot = "/run/demo-containers"
END
    export CONTAINERS_CONF=$peculiarities/containers.conf CONTAINERS_STORAGE_CONF=$peculiarities/storage.conf

    say 'A container of plain Debian, with no network, as a user that exists nowhere. It gets the directory of the socket,' \
        'and the address in its environment.'
    run "podman import --quiet $1 demo"
    container="podman run --rm --network=none --user 5000:5000 --group-add $group_id \\
    --volume /run/edge:/run/edge --env P11_KIT_SERVER_ADDRESS=unix:path=/run/edge/pkcs11 \\
   "
    run "$container demo p11tool --provider $client --list-tokens"

    say 'It signs a file with the key in the token. The key never leaves the token.'
    run "date >$work/message"
    run "$container --env PIN --volume $work:/work --workdir /work demo sh -c '
        openssl dgst -sha256 -binary -out digest message
        pkcs11-tool --module $client --token-label edge-token --login --pin env:PIN \\
            --sign --id 01 --mechanism ECDSA --signature-format openssl --input-file digest --output-file signature'"

    say 'The signature is good: outside of the container, with the public key from the token itself.'
    run "pkcs11-tool --module $module --token-label edge-token --read-object --type pubkey --id 01 --output-file $work/key.der"
    run "openssl dgst -sha256 -verify $work/key.der -signature $work/signature $work/message"

    say 'Without the group, the same container sees nothing.'
    run "${container/ --group-add $group_id/} demo p11tool --provider $client --list-tokens | tee $work/tokens"
    [[ ! -s $work/tokens ]] || fail 'a container without the group sees the token'
}

if [[ ${1-} == --story ]]; then
    story "${@:2}"
    exit
fi

reason='' image=''
if ! command -v podman >/dev/null; then
    reason='podman is not installed'
else
    image=$(tests/container-image.sh debian) || { image='' reason='the image could not be made, see above'; }
fi
tests/sandbox.sh tests/demo.sh --story "$image" "$reason"
[[ $image ]] || echo "demo.sh: SKIPPED, the container: $reason"
echo "demo.sh: done in $SECONDS s"
