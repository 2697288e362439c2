#!/usr/bin/env bash
# Everything that CI runs: format, lints, unit tests, all cases of t/, and the cases about nginx
# against nginx itself. Every step runs; the last line adds up the counts of all of them.
set -uo pipefail
cd "$(dirname "$0")/.."

PACKAGES=(gcc make pkg-config curl nginx-light libnginx-mod-http-lua libnginx-mod-http-echo
          libnginx-mod-http-headers-more-filter libnginx-mod-http-set-misc lua-cjson openssl
          etcd-server etcd-client
          lua-nginx-redis redis-server lua-nginx-memcached memcached lua-nginx-websocket
          lua-nginx-string lua-nginx-cookie lua-nginx-dns lua-resty-lrucache lua-resty-core wrk)
passed=0 failed=0 skipped=0

install_packages() {
    local missing=()
    for package in "${PACKAGES[@]}"; do
        dpkg -s "$package" >/dev/null 2>&1 || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return
    if [ "$(id -u)" != 0 ]; then
        echo "not installed, cases that need them are skipped: ${missing[*]}"
        return
    fi
    apt-get update -qq
    # A server that the package starts would take port 80.
    DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends \
        "${missing[@]}" >/dev/null || echo "could not install all of: ${missing[*]}"
}

# Clients of other projects, in a folder of their own.
install_clients() {
    [ -d target/python/nacos ] && [ -d target/python/grpc_health ] \
        && [ -d target/python/schemathesis ] && return
    local pip=(python3 -m pip install --quiet --disable-pip-version-check --target target/python)
    # The HTTP half of Nacos' client needs none of what its gRPC half depends on.
    "${pip[@]}" --no-deps 'nacos-sdk-python>=2.0,<2.1' \
        || echo "not installed, its cases are skipped: nacos-sdk-python"
    "${pip[@]}" grpcio grpcio-health-checking \
        || echo "not installed, their cases are skipped: grpcio, grpcio-health-checking"
    "${pip[@]}" 'schemathesis>=4,<5' || echo "not installed, its cases are skipped: schemathesis"
}

# A step that is one check: passed or failed.
check() {
    echo "== $*"
    if "$@"; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
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
    rm -f "$out"
    # A step that ended badly without saying so is one failure.
    if [ "$status" -ne 0 ] && [ "$f" -eq 0 ] || [ "$seen" -eq 0 ]; then f=$((f + 1)); fi
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
}

install_packages
install_clients
check cargo fmt --check
check cargo clippy --quiet --all-targets -- -D warnings
count cargo test --quiet --lib --bins
count cargo test --quiet --test t
count env T_MODE=oracle cargo test --quiet --test t

if [ "$skipped" -gt 0 ]; then
    echo "$passed passed, $failed failed, $skipped skipped"
else
    echo "$passed passed, $failed failed"
fi
[ "$failed" -eq 0 ]
