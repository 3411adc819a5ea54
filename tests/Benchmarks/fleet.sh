#!/usr/bin/env bash
# How long Ansible takes for fleets of 1, 2, 4 and 8 hosts (tests/fleet.sh): the cmdlets, beside the same work written with Ansible's own
# tasks, on hosts that are new and, three times each in turns, on hosts that are as they should be. Wall time of ansible-playbook in
# seconds, connections open already, nothing installed on the way; and the processor time of the controller for one run. For the first
# fleet also what goes over the connection of one host that is as it should be.
#
#   tests/Benchmarks/fleet.sh [COUNT…]
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
repo=$(dirname -- "$(dirname -- "$here")")
(($#)) || set -- 1 2 4 8
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
dotnet=$(dirname -- "$(readlink -f -- "$(command -v dotnet)")")

# Runs playbook $1 in the fleet of directory $fleet, where each host is to have $2 (a pattern) changes; sets $took and $processor to seconds.
play() {
    local started=$EPOCHREALTIME status=0
    local TIMEFORMAT='%U + %S'
    time (cd "$fleet" && env -u SSH_AUTH_SOCK HOME="$fleet" ANSIBLE_CONFIG="$fleet/ansible.cfg" ANSIBLE_NOCOLOR=1 ansible-playbook "$here/Fleet/$1.yml" \
        -e "engine=$repo/output/shell/hsmremote" -e "dotnet_root=$dotnet" -e "files=$fleet/files" >"$fleet/output" 2>&1) 2>"$fleet/processor" || status=$?
    took=$(calculate "$EPOCHREALTIME - $started") processor=$(calculate "$(<"$fleet/processor")")
    if ((status)) || (($(grep -cE "^host[0-9]+ +: .*changed=$2 " "$fleet/output") != count)); then
        cat "$fleet/output" >&2
        exit 1
    fi
}

disconnect() {
    local control
    for control in "$fleet"/cp/*; do ssh -F none -o ControlPath="$control" -O exit host1 2>/dev/null || true; done
}

# Sets $sent and $received to the bytes that playbook $1 sends to host1 and gets back, over a connection of its own from the handshake to the end.
transfer() {
    rm -f "$fleet/sent" "$fleet/received"
    play "$1" 0
    disconnect
    until [[ -s $fleet/sent && -s $fleet/received ]]; do sleep 0.05; done
    sent=$(<"$fleet/sent") received=$(<"$fleet/received")
}

calculate() { awk "BEGIN { printf \"%.2f\", $1 }"; }

median() { printf '%s\n' "$@" | sort -n | sed -n "$(((($# + 1)) / 2))p"; }

transfers=()
printf '%-6s %14s %14s %7s %14s %14s %7s %14s %20s %18s\n' hosts 'cmdlets, new' 'tasks, new' ratio 'cmdlets, again' 'tasks, again' ratio 'one cmdlet' \
    'controller, cmdlets' 'controller, tasks'
for count in "$@"; do
    fleet=$work/$count
    mkfifo "$work/in.$count"
    "$repo/tests/fleet.sh" "$count" "$fleet" <"$work/in.$count" >"$work/out.$count" 2>&1 &
    exec {hold}>"$work/in.$count"
    until grep -q ready "$work/out.$count"; do
        if [[ ! -d /proc/$! ]]; then
            cat "$work/out.$count" >&2
            exit 77
        fi
        sleep 0.1
    done
    mkdir -p "$fleet/files"

    # The files that the tasks copy are those that the cmdlets write; and the connections are open from here on.
    play files '[0-9]+'
    play cmdlets 1
    new=$took
    play tasks '[1-9]'
    tasksNew=$took
    again=() tasksAgain=() one=()
    for _ in 1 2 3; do
        play cmdlets 0
        again+=("$took") busy=$processor
        play tasks 0
        tasksAgain+=("$took") tasksBusy=$processor
        play one 0
        one+=("$took")
    done
    ours=$(median "${again[@]}") theirs=$(median "${tasksAgain[@]}")
    printf '%-6s %13ss %13ss %6sx %13ss %13ss %6sx %13ss %19ss %17ss\n' "$count" "$new" "$tasksNew" "$(calculate "$new / $tasksNew")" \
        "$ours" "$theirs" "$(calculate "$ours / $theirs")" "$(median "${one[@]}")" "$busy" "$tasksBusy"
    if [[ $count == "$1" ]]; then
        disconnect
        printf '#!/usr/bin/env bash\ntee >(wc -c >%q) | "$@" | tee >(wc -c >%q)\n' "$fleet/sent" "$fleet/received" >"$fleet/counted"
        chmod +x "$fleet/counted"
        sed -i "/^host1 /s|ProxyCommand=\"|&$fleet/counted |" "$fleet/inventory"
        for playbook in one cmdlets tasks; do
            transfer $playbook
            transfers+=("$playbook: $sent bytes sent to a host, $received sent back")
        done
    fi
    exec {hold}>&-
    wait
done
printf '%s\n' "${transfers[@]}"

package=("$repo"/output/packages/hsmremote-*-linux-x64.tar.gz)
if [[ -e ${package[0]} ]]; then
    echo "Sent to a host once, when HsmRemote is installed: $(stat -c %s "${package[0]}") bytes, unpacked $(tar -tzvf "${package[0]}" | awk '{ sum += $3 } END { print sum }')."
fi
