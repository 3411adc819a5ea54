#!/bin/sh
# What the manifest runs: p11kitserver.dsc.resource.ps1, in whichever of the two there is that can run it. 'sh' starts this, since a
# module's files have no execute permission once they were unpacked from a repository's package.
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
script=$here/p11kitserver.dsc.resource.ps1

# In the package hsmremote-VERSION the shell is beside the directory of modules.
for shell in "$here/../../../shell/hsmremote" hsmremote; do
    if command -v "$shell" >/dev/null; then
        exec "$shell" -NoModule -NoProfile -NonInteractive -File "$script" "$1"
    fi
done
if command -v pwsh >/dev/null; then
    exec pwsh -NoLogo -NoProfile -NonInteractive -File "$script" "$1"
fi
echo '{"error":"There is neither hsmremote nor pwsh on PATH, and one of them has to run HsmRemote. Install PowerShell 7.6, or unpack hsmremote and link it: ln -s /opt/hsmremote/shell/hsmremote /usr/local/bin."}' >&2
exit 127
