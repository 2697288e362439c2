#!/usr/bin/env bash
# Everything that CI runs: format, lints, unit tests, all cases of t/, and the cases about nginx
# against nginx itself. Every step runs; the last line adds up the counts of all of them.
set -uo pipefail
cd "$(dirname "$0")/.."

PACKAGES=(gcc make pkg-config curl nginx-light libnginx-mod-http-lua libnginx-mod-http-echo
          libnginx-mod-http-headers-more-filter libnginx-mod-http-set-misc libnginx-mod-stream
          lua-cjson openssl
          etcd-server etcd-client
          lua-nginx-redis redis-server lua-nginx-memcached memcached lua-nginx-websocket
          lua-nginx-string lua-nginx-cookie lua-nginx-dns lua-resty-lrucache lua-resty-core wrk)
passed=0 failed=0 skipped=0

# What failed, said once more at the end.
failures=$(mktemp)
trap 'rm -f "$failures"' EXIT

missing_packages() {
    for package in "${PACKAGES[@]}"; do
        dpkg -s "$package" >/dev/null 2>&1 || echo "$package"
    done
}

install_packages() {
    local missing
    mapfile -t missing < <(missing_packages)
    [ ${#missing[@]} -eq 0 ] && return
    if [ "$(id -u)" != 0 ]; then
        echo "not installed, cases that need them are skipped: ${missing[*]}"
        return
    fi
    # A server that a package starts would take port 80.
    export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
    local apt=(apt-get -qq -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300)
    "${apt[@]}" update || { sleep 5; "${apt[@]}" update; } || echo "apt-get update failed"
    local install=("${apt[@]}" install -y --no-install-recommends)
    # One that cannot be had must not keep the others away.
    "${install[@]}" "${missing[@]}" >/dev/null || for package in "${missing[@]}"; do
        "${install[@]}" "$package" >/dev/null || echo "apt-get cannot install $package"
    done
    mapfile -t missing < <(missing_packages)
    [ ${#missing[@]} -eq 0 ] || echo "not installed, their cases are skipped: ${missing[*]}"
}

# client NAME PIP-ARGUMENTS…: a client of another project, in a folder of its own. What was
# installed to its end leaves a mark.
client() {
    local name=$1 mark=target/python/.$1
    shift
    [ -e "$mark" ] && return
    PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet --disable-pip-version-check --retries 5 --timeout 60 \
        --upgrade --target target/python "$@" && touch "$mark" && return
    echo "not installed by pip, its cases are skipped: $name"
}

install_clients() {
    [ -e target/python/.nacos ] && [ -e target/python/.grpc_health ] \
        && [ -e target/python/.schemathesis ] && return
    mkdir -p target/python
    if ! python3 -m pip --version >/dev/null 2>&1; then
        PACKAGES=(python3 python3-pip)
        install_packages
    fi
    # The HTTP half of Nacos' client needs none of what its gRPC half depends on.
    client nacos --no-deps 'nacos-sdk-python>=2.0,<2.1'
    client grpc_health grpcio grpcio-health-checking
    client schemathesis 'schemathesis>=4,<5'
}

# A step that is one check: passed or failed.
check() {
    echo "== $*"
    if "$@"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED  $*" >>"$failures"
    fi
}

# What a step's output says of failures: cases of t/ in their summary, unit tests that panicked,
# code that does not compile.
complaints() {
    awk '/^FAILED  / { rest = /s\)$/ ? 0 : 3 }
         /^---- .* stdout ----$/ { rest = 5 }
         /^error(\[|:)/ { rest = 7 }
         rest > 0 && (!/^FAILED/ || !/s\)$/) { print; rest-- }
         /^ok  |^$/ { rest = 0 }' "$1" | grep -v '^$'
}

# A step that prints counts of its own.
count() {
    echo "== $*"
    local out status
    out=$(mktemp)
    "$@" 2>&1 | tee "$out"
    status=${PIPESTATUS[0]}
    local line p=0 f=0 s=0 seen=0
    while read -r line; do
        if [[ $line =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed(,\ ([0-9]+)\ skipped)?$ ]]; then
            p=$((p + BASH_REMATCH[1])) f=$((f + BASH_REMATCH[2])) s=$((s + ${BASH_REMATCH[4]:-0}))
            seen=1
        elif [[ $line =~ ^test\ result:.*\ ([0-9]+)\ passed\;\ ([0-9]+)\ failed\;\ ([0-9]+)\ ignored ]]; then
            p=$((p + BASH_REMATCH[1])) f=$((f + BASH_REMATCH[2])) s=$((s + BASH_REMATCH[3]))
            seen=1
        fi
    done <"$out"
    # A step that ended badly without saying so is one failure.
    if [ "$status" -ne 0 ] && [ "$f" -eq 0 ] || [ "$seen" -eq 0 ]; then
        f=$((f + 1))
        { echo "FAILED  $* (exit status $status); its last lines:"; tail -n 5 "$out"; } >>"$failures"
    fi
    [ "$f" -eq 0 ] || { echo "== $*"; complaints "$out"; } >>"$failures"
    rm -f "$out"
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
}

install_packages
install_clients
check cargo fmt --check
check cargo clippy --quiet --all-targets -- -D warnings
count cargo test --quiet --lib --bins
count cargo test --quiet --test t
count env T_MODE=oracle cargo test --quiet --test t

if [ "$failed" -gt 0 ]; then
    echo "== what failed"
    cat "$failures"
fi
if [ "$skipped" -gt 0 ]; then
    echo "$passed passed, $failed failed, $skipped skipped"
else
    echo "$passed passed, $failed failed"
fi
[ "$failed" -eq 0 ]
