#!/usr/bin/env bash
# Prints the directory of a Debian 13 system, for tests/sandbox.sh --root. It is made once for each list of packages, from
# Debian's own, which takes a minute or two and needs root, mmdebstrap and a mirror; why it cannot be made is on standard error.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

packages=systemd,systemd-sysv,libpam-systemd,dbus,p11-kit,p11-kit-modules,gnutls-bin,softhsm2,opensc,libpcsclite1,socat,procps
recipe=(--variant=minbase --include="$packages" --dpkgopt='path-exclude=/usr/share/doc/*'
    --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/man/*' trixie)
root=$PWD/artifacts/debian13-$(sha256sum <<<"${recipe[*]}" | head -c 12)

if [[ ! -d $root ]]; then
    ((EUID == 0)) || { echo 'not root' >&2; exit 1; }
    command -v mmdebstrap >/dev/null || { echo 'mmdebstrap is not installed' >&2; exit 1; }
    mkdir -p artifacts
    rm -rf --one-file-system artifacts/debian13-*
    mmdebstrap --quiet "${recipe[@]}" "$root.new" >&2 && mv "$root.new" "$root"
fi
echo "$root"
