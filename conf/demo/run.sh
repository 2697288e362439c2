#!/usr/bin/env bash
# Starts the three demo backends and, in the foreground, the gateway; stops all of them together.
set -euo pipefail
cd "$(dirname "$0")/../.."
binary=${1:-target/release/moonbeat}
mkdir -p logs

stop_backends() {
    local pid
    for file in logs/backend-*.pid; do
        [ -s "$file" ] || continue
        pid=$(<"$file")
        kill -QUIT "$pid" 2>/dev/null || true
    done
}
trap stop_backends EXIT

for conf in conf/demo/backend-*.conf; do
    "$binary" -p . -c "$conf"
done
echo "http://127.0.0.1:8080/        the page"
echo "http://127.0.0.1:8080/status  the states as text"
"$binary" -p . -c conf/nginx.conf -g 'daemon off;'
