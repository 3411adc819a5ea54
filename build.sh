#!/usr/bin/env bash
# Builds, tests and demonstrates HsmRemote on a Debian machine that has git and the .NET SDK 10, and nothing else.
#
#   ./build.sh Build   the importable module and the shell that carries it, in output/
#   ./build.sh Docs    the module's help, from docs/en-US
#   ./build.sh Test    Build, then every test; the last line says: N passed, N failed, N skipped
#   ./build.sh Demo    Build, then the whole story with a software token and a container, in a throwaway sandbox
#   ./build.sh Bench   Build, then how long the cmdlets take beside other ways to a token, in a throwaway sandbox
#   ./build.sh Fuzz    Build, then a minute of hostile servers, and a million URIs beside libp11-kit; tests/Fuzz/Program.cs has the options
#   ./build.sh Package the module for a PowerShell repository, and hsmremote with .NET for x64 and arm64, in output/packages
#   ./build.sh Reproduce  Package, in two clones of the last commit that lie elsewhere; fails unless their bytes are the same
#   ./build.sh Install Build, then the module to where PowerShell finds this user's own
#   ./build.sh Screenshots   Build, then the pictures of the README, in a throwaway sandbox
#
# It installs the Debian packages that the task needs and the machine lacks. What a task does is in build.ps1; this only
# finds something to run it in: pwsh 7.6 or later, or else the project's own shell.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")"
export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1
# The SDK starts without libicu too, then, which nothing here needs.
export DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=1

test_packages=(
    p11-kit p11-kit-modules gnutls-bin softhsm2 opensc openssl socat strace # what is tested, and what it is tested with
    libpcsclite1 # opensc loads it, and its package only recommends pcscd
    gcc libc6-dev # modules that crash, hang and lie
    libtpm2-pkcs11-1 libtpm2-pkcs11-tools swtpm tpm2-tools tpm2-abrmd libtss2-tcti-swtpm0 libtss2-tcti-tabrmd0 # a TPM in software
    systemd-container dbus procps # the sandbox
    openssh-client openssh-server iproute2 # sockets that travel
    podman crun mmdebstrap uidmap catatonit docker-compose # containers: those of the demo, rootless ones, pods, compose files
)
# docker's own daemon, unless there is one: docker-ce and docker.io do not go together.
PATH=$PATH:/usr/sbin command -v dockerd >/dev/null || test_packages+=(docker.io)
command -v kubectl >/dev/null || test_packages+=(kubernetes-client)
screenshot_packages=(p11-kit p11-kit-modules softhsm2 opensc systemd-container dbus procps python3-rich)
fleet_packages=(ansible-core openssh-client openssh-server) # Debian's Ansible, over SSH, to several sandboxes
bench_packages=(gcc libc6-dev libp11-kit-dev)

say() { echo "build.sh: $*"; }

fail() {
    say "$*" >&2
    exit 1
}

# Installs what is missing of the packages named. A machine that has them all is not touched.
need() {
    local package missing=() started=$SECONDS sudo=()
    if ! command -v dpkg-query >/dev/null; then
        say "not a Debian machine; these Debian packages, or their like, have to be there: $*"
        return
    fi
    for package in "$@"; do
        [[ $(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || missing+=("$package")
    done
    ((${#missing[@]})) || return 0

    if ((EUID != 0)); then
        sudo --non-interactive true 2>/dev/null \
            || fail "missing packages, and neither root nor sudo to install them: apt-get install ${missing[*]}"
        sudo=(sudo --non-interactive)
    fi
    say "installing ${missing[*]}"
    # A list of packages that is too old names files that are gone, so it is fetched, but only when there is a need.
    "${sudo[@]}" apt-get update --quiet=2
    # Without a TPM its module fails in every listing of the machine's modules; the test that makes one configures it.
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --yes --no-install-recommends \
        --option Dpkg::Options::=--path-exclude=/usr/share/p11-kit/modules/tpm2_pkcs11.module "${missing[@]}" >/dev/null
    say "installed in $((SECONDS - started)) s"
}

need_dotnet() {
    local problem
    command -v dotnet >/dev/null || fail 'the .NET SDK 10 is missing: there is no dotnet on PATH'
    # In this directory it answers only with an SDK that global.json accepts.
    problem=$(dotnet --version 2>&1) || fail "the .NET SDK 10 is missing: $problem"
}

# Sets $powershell to what runs build.ps1.
find_powershell() {
    local version bootstrap=output/bootstrap started=$SECONDS
    if version=$(pwsh --version 2>/dev/null) && printf '%s\n' 7.6 "${version##* }" | sort --version-sort --check=quiet; then
        powershell=(pwsh -NoProfile)
        return
    fi
    # A shell of its own: build.ps1 publishes output/shell, which it could not do while running in it.
    if ! [[ -x $bootstrap/hsmremote ]] || [[ $(find src/HsmRemote.Shell Directory.*.props -newer $bootstrap/hsmremote -print -quit) ]]; then
        rm -rf "$bootstrap" "$bootstrap.new"
        dotnet publish src/HsmRemote.Shell --configuration Release --verbosity quiet -p:PublishDir="$PWD/$bootstrap.new/" \
            || fail 'the shell did not build'
        # publish keeps the times of unchanged files; this one says when it was made.
        touch $bootstrap.new/hsmremote
        mv "$bootstrap.new" "$bootstrap"
        say "no pwsh 7.6 here; built the project's own shell in $((SECONDS - started)) s"
    fi
    powershell=("$bootstrap/hsmremote" -NoModule -NoProfile)
}

# tests/Pester runs in pwsh, with Pester. Where they are not installed, NuGet has them, for this checkout only. Where they cannot
# be had, the test run says that it skips them.
need_pester() {
    local version tools=output/tools
    if ! command -v pwsh >/dev/null && [[ ! -x $tools/pwsh ]]; then
        # The engine's own version.
        version=$(sed -n 's/.*"System.Management.Automation" Version="\([^"]*\)".*/\1/p' Directory.Packages.props)
        dotnet tool install PowerShell --version "$version" --tool-path $tools >/dev/null || say 'pwsh cannot be had from NuGet'
    fi
    [[ -d $tools/Modules/Pester ]] || dotnet build tests/Pester -target:CopyPester --verbosity quiet --nologo >/dev/null \
        || say 'Pester cannot be had from NuGet'
}

case ${1-} in
    Build | Docs | Package | Reproduce | Install) packages=() ;;
    Fuzz) packages=(libp11-kit0) ;;
    Demo) packages=("${test_packages[@]}") ;;
    Screenshots) packages=("${screenshot_packages[@]}") ;;
    Test) packages=("${test_packages[@]}" "${fleet_packages[@]}") ;;
    Bench) packages=("${test_packages[@]}" "${fleet_packages[@]}" "${bench_packages[@]}") ;;
    *)
        sed -n '2,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
        exit 2
        ;;
esac
need_dotnet
((${#packages[@]} == 0)) || need "${packages[@]}"
[[ $1 != Test ]] || need_pester
find_powershell
exec "${powershell[@]}" -File build.ps1 -Task "$@"
