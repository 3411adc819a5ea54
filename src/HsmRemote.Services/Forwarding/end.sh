# Where the socket is made: on the far side, over ssh, or on this one. It comes on standard input, wherever there is a
# POSIX shell, and nothing else has to be installed.
#
#   sh -s -- look    PATH OWNER GROUP MODE ID   says what is there, one KEY=VALUE a line, and changes nothing
#   sh -s -- prepare PATH OWNER GROUP MODE ID   makes way: ends this forward's own last session, removes a stale socket
#   sh -s -- own     PATH OWNER GROUP MODE ID   gives a new socket its owner, group and mode
#   sh -s -- hold    PATH OWNER GROUP MODE ID   own, says so, and removes the socket when its input ends
#   sh -s -- wait    PATH OWNER GROUP MODE ID   says that the connection stands, until its input ends
#   sh -s -- drop    PATH INODE                 removes the socket if it is still that one
#   sh -s -- leave   PATH OWNER GROUP MODE ID   ends this forward's own last session, and removes a stale socket
#   sh -s -- vacate  PATH OWNER GROUP MODE ID   the same, and removes the directory when it is empty
#
# OWNER and GROUP may be '-'. ID is what the sessions of one forward are known by.
set -u
umask 022

fail() {
    echo "p11-forward: $*" >&2
    exit 3
}

# Tenths of seconds, where sleep knows them.
pause() { sleep 0.1 2>/dev/null || sleep 1; }

inode_of() {
    # shellcheck disable=SC2012 # POSIX has no other way, and a number is all that is read.
    ls -di -- "$1" 2>/dev/null | while read -r number _; do echo "$number"; done
}

# Whether somebody listens on socket $1: live, stale, or unknown. A file that cannot be asked about is not stale.
ask() {
    listening=$(grep -s -F " $1" /proc/net/unix | while read -r _ _ _ flags _ _ _ at; do
        [ "$flags" = 00010000 ] && [ "$at" = "$1" ] && echo yes
    done)
    if [ "$listening" ]; then
        echo live
        return
    fi
    # It may be a listener of another network namespace, which only connecting tells. OpenSSH's client connects to a Unix
    # socket when it is asked whether a master is there, and says what connect(2) said.
    if ! command -v ssh >/dev/null; then
        echo unknown
        return
    fi
    said=$(
        ssh -F none -S "$1" -O check nobody 2>&1 </dev/null &
        asked=$!
        (
            waited=0
            while [ $waited -lt 20 ] && kill -0 $asked 2>/dev/null; do
                pause
                waited=$((waited + 1))
            done
            kill $asked 2>/dev/null
        ) >/dev/null 2>&1 &
        wait $asked
    )
    case $said in
        *'Connection refused'*) echo stale ;;
        *'ermission denied'*) echo unknown ;;
        *) echo live ;;
    esac
}

# What is at path $1.
kind() {
    if [ -L "$1" ]; then
        echo 'symbolic link'
    elif [ -S "$1" ]; then
        ask "$1"
    elif [ -d "$1" ]; then
        echo directory
    elif [ -e "$1" ]; then
        echo file
    else
        echo free
    fi
}

# The process that holds a session of this forward, if there is one: of the same user, with the same id in its arguments.
sessions() {
    for found in $(grep -l -s -F -e "$id" /proc/[0-9]*/cmdline | cut -d/ -f3); do
        [ -O "/proc/$found" ] && tr '\0' ' ' 2>/dev/null <"/proc/$found/cmdline" | grep -q -F -e ' -- hold ' && echo "$found"
    done
}

# Ends the sessions that an earlier connection of this forward left: sshd holds their socket until it notices that the
# other end is gone, which may take hours.
end_sessions() {
    for session in $(sessions); do
        read -r _ _ _ parent _ 2>/dev/null <"/proc/$session/stat" || continue
        read -r command 2>/dev/null <"/proc/$parent/comm" || continue
        case $command in
            sshd*) ;;
            *) continue ;;
        esac
        # The holder first, so that it does not remove a socket that is made meanwhile.
        kill -KILL "$session" 2>/dev/null
        kill "$parent" 2>/dev/null
        waited=0
        while [ $waited -lt 50 ] && kill -0 "$parent" 2>/dev/null; do
            pause
            waited=$((waited + 1))
        done
    done
}

look() {
    directory=${path%/*}
    echo "User=$(id -un 2>/dev/null || id -u)"
    if [ ! -e "${directory:-/}" ]; then
        above=${directory%/*}
        if [ -d "${above:-/}" ] && [ -w "${above:-/}" ]; then echo Directory=missing; else echo Directory=unreachable; fi
    elif [ ! -d "${directory:-/}" ]; then
        echo Directory=file
    elif [ ! -w "${directory:-/}" ] || [ ! -x "${directory:-/}" ]; then
        echo Directory=closed
    elif [ "$(find "${directory:-/}" -prune -perm -0002 ! -perm -1000)" ]; then
        echo Directory=open
    else
        echo Directory=ready
    fi
    echo "Path=$(kind "$path")"
    if [ -n "$(sessions)" ]; then echo Session=yes; fi
    if [ "$owner" != - ] && ! id -u -- "$owner" >/dev/null 2>&1; then echo Owner=missing
    elif [ "$owner" != - ] && [ "$(id -u)" != 0 ] && [ "$(id -u -- "$owner")" != "$(id -u)" ]; then echo Owner=denied; fi
    if [ "$group" != - ]; then
        number=$({ getent group "$group" || grep -s -e "^$group:" /etc/group; } 2>/dev/null | head -n 1 | cut -d: -f3)
        case $group in *[!0-9]*) ;; *) number=$group ;; esac
        if [ -z "$number" ]; then
            echo Group=missing
        elif [ "$(id -u)" != 0 ]; then
            case " $(id -G) " in *" $number "*) ;; *) echo Group=denied ;; esac
        fi
    fi
}

prepare() {
    end_sessions
    directory=${path%/*}
    if [ ! -e "${directory:-/}" ]; then
        mkdir -m 0755 -- "$directory" || fail "the directory $directory cannot be made"
    fi
    what=$(kind "$path")
    case $what in
        free) ;;
        stale) rm -f -- "$path" || fail "the stale socket $path cannot be removed" ;;
        live) fail "somebody else listens on $path" ;;
        unknown) fail "whether somebody listens on $path cannot be found out here" ;;
        *) fail "$path is a $what" ;;
    esac
}

# ssh goes on where it could not make the socket.
is_ours() { [ -S "$path" ] && [ ! -L "$path" ] && [ -O "$path" ]; }

# The mode last, so that nobody is let in whom the owner and the group are to keep out.
own() {
    is_ours || fail "$path was not made: nothing or somebody else's is there"
    [ "$owner" = - ] || chown -- "$owner" "$path" || fail "$path cannot be given to the user $owner"
    [ "$group" = - ] || chgrp -- "$group" "$path" || fail "$path cannot be given to the group $group"
    chmod -- "$mode" "$path" || fail "the mode of $path cannot be set"
}

drop() {
    [ -S "$path" ] && [ "$(inode_of "$path")" = "$1" ] && rm -f -- "$path"
}

main() {
    verb=$1
    path=$2
    owner=${3-} group=${4-} mode=${5-} id=${6-}
    case $verb in
        look) look ;;
        prepare) prepare ;;
        own) own ;;
        hold)
            trap '' HUP
            inode=
            ! is_ours || inode=$(inode_of "$path")
            (own) || {
                drop "$inode"
                exit 3
            }
            echo 'p11-forward ready'
            cat >/dev/null
            drop "$inode"
            ;;
        wait)
            echo 'p11-forward ready'
            cat >/dev/null
            ;;
        drop) drop "$owner" ;;
        leave | vacate)
            end_sessions
            [ "$(kind "$path")" != stale ] || rm -f -- "$path" || fail "the stale socket $path cannot be removed"
            [ "$verb" = leave ] || rmdir -- "${path%/*}" 2>/dev/null || true
            ;;
    esac
}

main "$@"
