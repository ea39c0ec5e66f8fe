# What is done often. Everything here is a plain command that can be typed without `just`.

# all tests
test:
    cargo test --workspace

# what CI does, on this tree
ci:
    .ci/run

# formatting, lints, documentation
check:
    cargo fmt --all -- --check
    cargo clippy --workspace --all-targets -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --workspace

# run all benches and print one table
bench:
    cargo bench --workspace
    python3 tools/bench_report.py

# one table from the benches that have run
bench-report:
    python3 tools/bench_report.py

# fuzz one target for some seconds, beginning with the seeds: just fuzz frame 60
fuzz target seconds="60":
    tools/fuzz.sh {{target}} {{seconds}}

# write the fuzz seeds again, from the real encoders
fuzz-seeds:
    cargo run --release --manifest-path fuzz/Cargo.toml --example seeds
