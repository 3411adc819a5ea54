#!/usr/bin/env bash
# A fleet: throwaway systems of tests/sandbox.sh, side by side, each with an OpenSSH server and a SoftHSM token of its own.
#
#   tests/fleet.sh COUNT DIRECTORY   boot them, say 'ready', keep them until standard input ends, throw them away
#
# DIRECTORY gets what an Ansible controller has: an inventory of host1, host2, …, a key pair, the hosts' keys, ansible.cfg; and
# the file 'ids' with each system's id for 'tests/sandbox.sh --enter'. The SSH is real from end to end, host keys are verified,
# and no network is needed: each connection is a process, 'sshd -i' in the system, which dies with either end.
# The token of hostN is hostN-token, with the PIN in the file 'pin' and one EC key pair.
set -euo pipefail

tests=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
(($# == 2)) || { sed -n '2,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2; }
count=$1 directory=$2
for tool in sshd ssh-keygen ansible-playbook softhsm2-util pkcs11-tool; do
    command -v $tool >/dev/null || PATH+=:/usr/sbin command -v $tool >/dev/null \
        || { echo "fleet.sh: cannot run here: no $tool (Debian packages: openssh-server, openssh-client, ansible-core, softhsm2, opensc)" >&2; exit 77; }
done

# Not mounted with the checkout: a process in a system finds /tmp of its own.
mkdir -p "$directory"
pin=fleet-pin-$RANDOM$RANDOM
echo "$pin" >"$directory/pin"
ssh-keygen -q -t ed25519 -N '' -C fleet -f "$directory/key"

holders=() held=()
for ((n = 1; n <= count; n++)); do
    exec {fd}> >(exec "$tests/sandbox.sh" --hold >"$directory/id.$n" 2>"$directory/errors.$n")
    holders+=($!) held+=("$fd")
done
throw_away() {
    local fd
    for fd in "${held[@]}"; do exec {fd}>&-; done
    wait "${holders[@]}" 2>/dev/null || true
}
trap throw_away EXIT

# What is run in each, once.
prepare() {
    cat <<EOF
        mkdir -p /run/sshd /root/.ssh
        install -m 600 /dev/stdin /root/.ssh/authorized_keys
        rm -f /etc/ssh/ssh_host_*
        ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key
        hostnamectl hostname host$1 2>/dev/null || hostname host$1
        softhsm2-util --init-token --free --label host$1-token --pin $pin --so-pin 87654321 >/dev/null
        pkcs11-tool --module /usr/lib/softhsm/libsofthsm2.so --token-label host$1-token --login --pin $pin \\
            --keypairgen --key-type EC:prime256v1 --label key --id 01 >/dev/null 2>&1
        cat /etc/ssh/ssh_host_ed25519_key.pub
EOF
}

: >"$directory/ids"
: >"$directory/known_hosts"
echo '[edge]' >"$directory/inventory"
for ((n = 1; n <= count; n++)); do
    while [[ ! -s $directory/id.$n ]]; do
        if [[ ! -d /proc/${holders[n - 1]} ]]; then
            cat "$directory/errors.$n" >&2
            status=0
            wait "${holders[n - 1]}" || status=$?
            exit $((status ? status : 1))
        fi
        sleep 0.05
    done
    id=$(<"$directory/id.$n")
    echo "$id" >>"$directory/ids"
    key=$("$tests/sandbox.sh" --enter "$id" bash -euo pipefail -c "$(prepare $n)" <"$directory/key.pub")
    echo "host$n ${key% *}" >>"$directory/known_hosts"
    proxy="$tests/sandbox.sh --enter $id /usr/sbin/sshd -i -o UsePAM=no -o PermitRootLogin=prohibit-password -o AllowUsers=root"
    echo "host$n token=host$n-token ansible_user=root ansible_ssh_common_args='-o ProxyCommand=\"$proxy\"'" >>"$directory/inventory"
done

# Control sockets have short paths of their own, and their masters end with the systems.
cat >"$directory/ansible.cfg" <<EOF
[defaults]
timeout = 60
inventory = $directory/inventory
private_key_file = $directory/key
remote_user = root
interpreter_python = /usr/bin/python3
local_tmp = $directory/tmp
collections_path = $directory/collections
retry_files_enabled = false
forks = 16
deprecation_warnings = false
[ssh_connection]
pipelining = true
ssh_args = -F none -o UserKnownHostsFile=$directory/known_hosts -o GlobalKnownHostsFile=/dev/null -o StrictHostKeyChecking=yes -o ControlMaster=auto -o ControlPersist=60s
control_path_dir = $directory/cp
EOF
mkdir -p "$directory/collections/ansible_collections/hsmremote"
ln -sfn "$(dirname "$tests")/deploy/ansible" "$directory/collections/ansible_collections/hsmremote/p11kit"

echo ready
while read -r; do :; done
