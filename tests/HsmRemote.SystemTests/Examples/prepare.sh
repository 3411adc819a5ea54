#!/usr/bin/env bash
# Brings a sandbox to the state in which every example of the pages begins, but for the instance edge, which run.ps1 installs.
# docs/writing-pages.md says what that state is.
set -euo pipefail
module=/usr/lib/softhsm/libsofthsm2.so

# Once: the token with its key and certificate, and the image of the containers, whose programs are the sandbox's own.
if [[ ! -e /root/edge.pin ]]; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout /root/device.key -out /root/device.pem -subj /CN=edge -days 20 2>/dev/null
    openssl x509 -in /root/device.pem -outform DER -out /root/device.der
    softhsm2-util --init-token --free --label edge-token --pin 123456 --so-pin 87654321
    tool() { pkcs11-tool --module $module --token-label edge-token --login --pin 123456 "$@"; }
    tool --keypairgen --key-type EC:prime256v1 --label edge --id 01
    tool --write-object /root/device.der --type cert --label edge --id 01
    mkdir /root/examples
    # A sandbox delegates no control groups and allows no raising of limits. Its memory carries overlays.
    mkdir -p /etc/containers
    cat >/etc/containers/containers.conf <<END
[containers]
cgroups = "disabled"
default_ulimits = []
[engine]
runtime = "crun"
cgroup_manager = "cgroupfs"
events_logger = "none"
END
    printf '[storage]\ndriver = "overlay"\ngraphroot = "/run/examples/storage"\nrunroot = "/run/examples/run"\n' >/etc/containers/storage.conf
    mkdir -p /run/examples/root/{usr,run,tmp,etc,proc,sys,dev,var}
    ln -s usr/bin usr/sbin usr/lib usr/lib64 /run/examples/root/
    tar --create --directory=/run/examples/root . | podman import --quiet - docker.io/library/debian:12
    cp /usr/bin/socat /run/examples/app
    (umask 077 && echo 123456 >/root/edge.pin)
fi

# Each time: what an example before has left.
systemctl stop 'example-*.service'
if [[ -e /run/examples/containers ]]; then
    podman rm --all --force --time=0
    rm /run/examples/containers
fi
softhsm2-util --show-slots | awk '$1 == "Label:" && $2 && $2 != "edge-token" { print $2 }' | while read -r label; do
    softhsm2-util --delete-token --token "$label"
done
if [[ -e /etc/systemd/system/tedge-p11-kit-server.socket ]]; then
    systemctl stop tedge-p11-kit-server.socket tedge-p11-kit-server.service
    rm -rf /etc/systemd/system/tedge-p11-kit-server.* /etc/tedge-p11-kit-server
    systemctl daemon-reload
fi
# Of an instance of root's own. logind would end it at some moment of its own.
systemctl stop user@0.service user-runtime-dir@0.service
for user in alice p11-edge; do
    ! id $user >/dev/null 2>&1 || userdel $user
done
rm -rf /etc/pkcs11 /srv/lab /dev/bus
# It is where the examples run, so it stays.
find /srv/device -mindepth 1 -delete
install -m 600 /root/edge.pin /srv/device/pin
cp /root/device.pem /srv/device/
cat >/srv/device/compose.yaml <<'END'
services:
  tedge:
    image: tedge   # pinned elsewhere
    user: "1000:1000"
END
