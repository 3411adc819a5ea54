#!/usr/bin/env bash
# A throwaway Linux system: this machine's own files under a real systemd, for tests that install units, make groups and
# start containers. Nothing in it can change the machine: its root is an overlay over / (or over DIR) whose changes are
# in memory, and processes, mounts, /run, /tmp, control groups and network are its own. The checkout is there under its
# own path, read-only.
#
#   tests/sandbox.sh [--root DIR] COMMAND [ARG…]   boot, run COMMAND as root in it, pass its exit status on, throw it away
#   tests/sandbox.sh [--root DIR] --hold           boot, print an id, keep it until standard input ends
#   tests/sandbox.sh --enter ID COMMAND [ARG…]     run COMMAND in one that is being held
#   tests/sandbox.sh --leader ID                   print the process id of its init; 'systemctl reboot' in it gives it another
#
# Exit status 77: this machine cannot run one, and standard error says why. It needs root, systemd-nspawn and overlayfs.
#
# However it ends, kill -9 included, nothing stays behind: every process is in a PID namespace that dies with this
# script, and every mount is in a mount namespace that dies with its last process.
set -euo pipefail

repo=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
dotnet=$(command -v dotnet) && dotnet=$(dirname -- "$(readlink -f -- "$dotnet")")

cannot() {
    echo "sandbox.sh: cannot run here: $*" >&2
    exit 77
}

# What runs a command in the sandbox whose init is process $1, in an environment that owes nothing to the caller's. The
# command dies with its nsenter, so a caller that kills what it started has killed it.
set_entry() {
    entry=(
        nsenter --all --root --target "$1" -- /usr/bin/setpriv --pdeathsig KILL /usr/bin/env -i -C "$repo"
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 "TERM=${TERM:-dumb}"
        DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1 ${dotnet:+"DOTNET_ROOT=$dotnet"}
    )
}

# The only child of process $1, if it has one yet.
child_of() {
    local child=
    [[ ! $1 ]] || read -r child _ 2>/dev/null <"/proc/$1/task/$1/children" || true
    echo "$child"
}

# The init of the sandbox whose id is $1, if it has one yet: below systemd-nspawn, which is below what starts it anew.
leader_of() { child_of "$(child_of "$1")"; }

# The control group that this script is in, in each hierarchy that systemd uses.
control_groups() {
    local line mount
    while IFS= read -r line; do
        case $line in
            0::*)
                for mount in /sys/fs/cgroup /sys/fs/cgroup/unified; do
                    [[ ! -e $mount/cgroup.controllers ]] || echo "$mount${line#0::}"
                done
                ;;
            *:name=systemd:*) echo "/sys/fs/cgroup/systemd${line#*:name=systemd:}" ;;
        esac
    done </proc/self/cgroup
}

# Removes sandbox $1's control groups, and any process that its end came too early for.
remove_groups() {
    local parent directory
    for parent in "${parents[@]}"; do
        directory=${parent%/}/hsmremote-sandbox-$1
        for _ in {1..100}; do
            [[ -d $directory ]] || break
            find "$directory" -name cgroup.procs -exec xargs -r -a {} kill -KILL ';' 2>/dev/null || true
            find "$directory" -depth -type d -exec rmdir {} + 2>/dev/null || true
            sleep 0.05
        done
    done
}

# Gives this script a control group, so that two sandboxes do not share one. Its directories are all that the kernel
# does not clear away by itself: a reaper does, which sees this script's end as the end of its input.
make_groups() {
    local parent stale
    mapfile -t parents < <(control_groups)
    ((${#parents[@]})) || cannot 'no control groups are mounted under /sys/fs/cgroup'
    for parent in "${parents[@]}"; do
        for stale in "${parent%/}"/hsmremote-sandbox-*; do
            # Of one that was killed together with its reaper.
            [[ ! -d $stale || -d /proc/${stale##*-} ]] || remove_groups "${stale##*-}"
        done
    done
    exec {held}> >(exec >/dev/null 2>&1; trap '' INT TERM HUP; read -r || true; remove_groups $$)
    reaper=$!
    for parent in "${parents[@]}"; do
        mkdir "${parent%/}/hsmremote-sandbox-$$" || cannot 'control groups cannot be made'
    done
}

# Lays out the sandbox's file system. Over /run, so that nothing has a path outside of this mount namespace, and
# systemd-nspawn leaves no lock or socket there either.
lay_out() {
    root=/run/sandbox/root
    mount -t tmpfs -o mode=755 tmpfs /run || cannot 'a tmpfs cannot be mounted'
    mkdir -p /run/sandbox/{changes,work,root}
    mount -t overlay -o "lowerdir=$1,upperdir=/run/sandbox/changes,workdir=/run/sandbox/work" overlay $root \
        || cannot 'overlayfs cannot be mounted'

    # The machine's identity, log, tokens and enabled services are not the sandbox's: it boots to systemd, the journal
    # and D-Bus, in half a second.
    rm -rf $root/etc/systemd/system $root/var/log/journal $root/var/lib/softhsm/tokens/* $root/etc/{machine-id,hostname,fstab}
    mkdir -p $root/etc/systemd/system $root/var/log/journal
    tr -d - </proc/sys/kernel/random/uuid >$root/etc/machine-id
    echo sandbox >$root/etc/hostname
    # There is no TPM in it, of which every listing of the modules would complain; a test that makes one configures it.
    rm -f $root/usr/share/p11-kit/modules/tpm2_pkcs11.module
    # Else systemd takes /usr for updated, and runs ldconfig and the like first.
    touch -r $root/usr $root/etc/.updated $root/var/.updated
}

boot() {
    local parent state deadline=$((SECONDS + 120))
    (
        exec {held}>&-
        for parent in "${parents[@]}"; do
            echo 0 >"${parent%/}/hsmremote-sandbox-$$/cgroup.procs"
        done
        # Asked for before it looks whether the script still lives, so that there is no moment to miss its death in.
        # systemd-nspawn ends with 133 when the system in it reboots. The one timer of a bare system would clean /tmp and
        # /run in the fifteenth minute, beside a test that compares them.
        # shellcheck disable=SC2016
        exec setpriv --pdeathsig KILL sh -c '[ $PPID = $0 ] && exec "$@"' $$ \
            unshare --pid --fork --kill-child --mount-proc -- \
            sh -c 'while "$@"; [ $? = 133 ]; do :; done' reboot \
            systemd-nspawn --quiet --directory="$root" --machine=sandbox --boot --private-network --register=no \
            --keep-unit --link-journal=no --resolv-conf=off --timezone=off --console=pipe \
            --bind-ro="$repo" ${dotnet:+"--bind-ro=$dotnet"} \
            systemd.unit=basic.target systemd.mask=systemd-tmpfiles-clean.timer systemd.show_status=no </dev/null >/run/sandbox/console 2>&1
    ) &
    unshare=$!
    trap throw_away EXIT

    while ((SECONDS < deadline)) && [[ -d /proc/$unshare ]]; do
        id=$(child_of "$unshare")
        leader=$(leader_of "$id")
        state=
        if [[ $leader ]]; then
            set_entry "$leader"
            state=$("${entry[@]}" systemctl is-system-running --wait 2>/dev/null) || true
        fi
        case $state in
            running) return ;;
            degraded)
                echo 'sandbox.sh: not everything in the sandbox started:' >&2
                "${entry[@]}" systemctl --no-pager --no-legend --plain --failed >&2
                return
                ;;
        esac
        sleep 0.05
    done
    cat /run/sandbox/console >&2
    echo 'sandbox.sh: the sandbox did not boot' >&2
    exit 1
}

# The kernel would do it, but who calls again at once should find nothing.
throw_away() {
    kill -KILL "$(child_of "$unshare")" 2>/dev/null || kill -KILL "$unshare" 2>/dev/null || true
    wait "$unshare" 2>/dev/null || true
    exec {held}>&-
    wait "$reaper" 2>/dev/null || true
}

case ${1-} in
    --enter)
        (($# > 2)) || { echo 'usage: sandbox.sh --enter ID COMMAND [ARG…]' >&2; exit 2; }
        set_entry "$(leader_of "$2")"
        exec "${entry[@]}" "${@:3}"
        ;;
    --leader) leader_of "$2" ;;
    --in-own-mounts)
        shift
        lower=/
        if [[ $1 == --root ]]; then
            lower=$(realpath -- "$2")
            shift 2
        fi
        make_groups
        lay_out "$lower"
        boot
        if [[ $1 == --hold ]]; then
            echo "$id"
            while read -r; do :; done
        else
            status=0
            "${entry[@]}" "$@" {held}>&- || status=$?
            exit "$status"
        fi
        ;;
    '' | --help)
        sed -n '2,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
        exit 2
        ;;
    *)
        ((EUID == 0)) || cannot 'not root'
        for tool in systemd-nspawn unshare nsenter setpriv; do
            command -v "$tool" >/dev/null || cannot "no $tool (Debian packages: systemd-container, util-linux)"
        done
        reason=$(unshare --mount --pid --fork --mount-proc true 2>&1) || cannot "$reason"
        exec unshare --mount --propagation private -- "$BASH" "${BASH_SOURCE[0]}" --in-own-mounts "$@"
        ;;
esac
