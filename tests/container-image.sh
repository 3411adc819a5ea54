#!/usr/bin/env bash
# Prints the path of an archive with a root directory, which is made once and kept in artifacts/ for as long as its recipe stays.
#
#   tests/container-image.sh debian   Debian 12 with p11-kit's client and programs that use it, for containers
#   tests/container-image.sh trixie   Debian 13 with podman, unpacked only, for its quadlet generator
#
# Exit status 77: it cannot be made here, and standard error says why. It needs mmdebstrap and a mirror of Debian.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

case ${1-} in
    debian)
        # Debian's own packages, of which none is ours.
        suite=bookworm variant=essential
        packages=apt,curl,gnutls-bin,libengine-pkcs11-openssl,opensc,openssh-client,openssh-server,openssl,p11-kit,p11-kit-modules
        ;;
    trixie) suite=trixie variant=extract packages=podman ;;
    *)
        sed -n '2,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
        exit 2
        ;;
esac

recipe=(--variant="$variant" --include="$packages" --dpkgopt='path-exclude=/usr/share/doc/*'
    --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/man/*' "$suite")
directory=artifacts/container-images
image=$PWD/$directory/$1-$(sha256sum <<<"${recipe[*]}" | head -c 12).tar
mkdir -p $directory
# Of two who need it at a time, one makes it.
exec {lock}>$directory/$1.lock
flock $lock
if [[ ! -e $image ]]; then
    command -v mmdebstrap >/dev/null || { echo 'container-image.sh: mmdebstrap is not installed' >&2; exit 77; }
    started=$SECONDS
    rm -f $directory/"$1"-*.tar*
    mmdebstrap --quiet "${recipe[@]}" "$image.new.tar" >&2 \
        || { rm -f "$image.new.tar"; echo "container-image.sh: mmdebstrap could not make the image $1" >&2; exit 77; }
    mv "$image.new.tar" "$image"
    echo "container-image.sh: made $1 in $((SECONDS - started)) s" >&2
fi
echo "$image"
