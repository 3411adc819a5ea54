#!/bin/sh
# Keeps a socket forwarded over ssh, and brings it back when the connection drops, waiting longer after each failure.
# Written by HsmRemote: New-P11SocketForward. Everything that differs between forwards is in its arguments:
#
#   tunnel.sh Push|Pull LOCAL REMOTE OWNER GROUP MODE ID PROFILE HOST SSH-OPTION…
#
# OWNER, GROUP and PROFILE (of colima) may be '-'. $RUNTIME_DIRECTORY has what Get-P11SocketForward reads.
set -u
umask 077
here=${0%/*}
run=${RUNTIME_DIRECTORY:?the directory of its state}
direction=$1 near=$2 far=$3 owner=$4 group=$5 mode=$6 id=$7 profile=$8 host=$9
shift 9

delay=1
longest=60
attempts=0
child=
holding=

# What is known of the connection, replaced whole. The reason of a failure is in the file beside it.
note() {
    printf 'State=%s\nSince=%s\nAttempts=%s\n' "$1" "$(date +%s)" "$attempts" >"$run/state.new"
    chmod 0644 "$run/state.new"
    mv -f "$run/state.new" "$run/state"
}

# Runs end.sh where the socket is made.
at_end() {
    if [ "$direction" = Push ]; then
        ssh -o ClearAllForwardings=yes "$@" -- "$host" "exec /bin/sh -s -- $verb $far $owner $group $mode $id" <"$here/end.sh"
    else
        /bin/sh "$here/end.sh" "$verb" "$near" "$owner" "$group" "$mode" "$id"
    fi
}

stop() {
    # The far side hears the end of its input, removes its socket and ends the session; open connections would keep it.
    exec 3>&-
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
        { [ "$holding" ] && kill -0 "$child" 2>/dev/null; } || break
        sleep 0.1 2>/dev/null || sleep 1
    done
    [ -z "$child" ] || kill "$child" 2>/dev/null
    [ "$direction" = Push ] || [ -z "${inode-}" ] || /bin/sh "$here/end.sh" drop "$near" "$inode"
    exit 0
}
trap stop TERM INT

connect() {
    attempts=$((attempts + 1))
    inode=
    if [ "$profile" != - ]; then
        # The virtual machine may have another port since.
        colima ssh-config "$profile" >"$run/ssh_config" 2>"$run/errors.new" || return 1
    fi
    verb=prepare
    at_end "$@" 2>"$run/errors.new" &
    child=$!
    wait $child || return 1

    rm -f "$run/input" "$run/answer"
    mkfifo "$run/input" "$run/answer"
    if [ "$direction" = Push ]; then
        ssh "$@" -R "$far:$near" -- "$host" "exec /bin/sh -s -- hold $far $owner $group $mode $id" <"$run/input" >"$run/answer" 2>"$run/errors.new" &
    else
        ssh "$@" -L "$near:$far" -- "$host" "exec /bin/sh -s -- wait $far" <"$run/input" >"$run/answer" 2>"$run/errors.new" &
    fi
    child=$!
    # Kept open for as long as the forward is to last.
    exec 3>"$run/input"
    exec 4<"$run/answer"
    cat "$here/end.sh" >&3 2>/dev/null
    answer=
    while read -r answer <&4; do
        [ "$answer" != 'p11-forward ready' ] || break
    done
    if [ "$answer" = 'p11-forward ready' ] && [ "$direction" = Pull ]; then
        # Only what ssh has made is removed again.
        [ ! -O "$near" ] || inode=$(ls -di "$near" | while read -r number _; do echo "$number"; done)
        verb=own
        at_end 2>"$run/errors.new" || { kill $child; answer=; }
    fi
    if [ "$answer" = 'p11-forward ready' ]; then
        note Connected
        holding=yes
        delay=1
    fi
    wait $child
    child= holding=
    exec 3>&- 4<&-
    [ -z "$inode" ] || /bin/sh "$here/end.sh" drop "$near" "$inode"
    return 1
}

note Connecting
while :; do
    connect "$@"
    cat "$run/errors.new" >&2
    chmod 0644 "$run/errors.new"
    mv -f "$run/errors.new" "$run/errors"
    note Waiting
    sleep $delay &
    child=$!
    wait $child
    child=
    delay=$((delay * 2))
    [ $delay -le $longest ] || delay=$longest
done
