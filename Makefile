# The commands people type. CI runs `make test`.

.PHONY: run test bench fuzz

run:
	cargo build --release
	mkdir -p conf/logs
	target/release/moonbeat -p conf -c nginx.conf -g 'daemon off;'

test:
	t/run.sh

bench:
	cargo build --release
	benches/side_by_side.py

fuzz:
	cargo test --test t -- fuzz
