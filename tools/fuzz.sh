#!/usr/bin/env bash
# Fuzzes one target for some seconds: tools/fuzz.sh TARGET [SECONDS]
# Also: tools/fuzz.sh --list, tools/fuzz.sh --build
# Begins with the seeds in the tree; what it finds on the way goes to fuzz/corpus-found (ignored by
# git), an input that breaks the target to fuzz/artifacts.
set -euo pipefail
cd "$(dirname "$0")/.."

# Sanitizers are a nightly feature. The stable toolchain brings their runtime, too: where there is no
# nightly one, it is told to take the flag. Nothing is downloaded.
export RUSTUP_AUTO_INSTALL=0
cargo=(cargo +nightly)
if ! "${cargo[@]}" --version >/dev/null 2>&1; then
    cargo=(env RUSTC_BOOTSTRAP=1 cargo)
fi

target=${1:?which target? tools/fuzz.sh --list}
case $target in
    --list) exec "${cargo[@]}" fuzz list ;;
    --build) exec "${cargo[@]}" fuzz build ;;
esac
seconds=${2:-60}
if ! [ -d "fuzz/seeds/$target" ]; then
    echo "no seeds for $target: cargo run --manifest-path fuzz/Cargo.toml --example seeds" >&2
    exit 1
fi
mkdir -p "fuzz/corpus-found/$target"
# No input larger than this says anything new, and 2 GiB bounds what a hostile length may allocate.
exec "${cargo[@]}" fuzz run "$target" "fuzz/corpus-found/$target" "fuzz/seeds/$target" -- \
    -max_total_time="$seconds" -rss_limit_mb=2048 -malloc_limit_mb=1024 -timeout=10 \
    -max_len=65536 -print_final_stats=1
