# The commands people type. CI runs `make test`.

.PHONY: run test bench fuzz

run:
	cargo build --release
	conf/demo/run.sh target/release/moonbeat

test:
	t/run.sh

bench:
	cargo build --release
	benches/side_by_side.py
	cargo bench --bench faces
	benches/probes.py cost latency many traffic
	benches/api.py

fuzz:
	cargo test --test t -- fuzz
