#!/usr/bin/env bash
# Fuzzes one target for some seconds: tools/fuzz.sh TARGET [SECONDS]
# Begins with the seeds in the tree; what it finds on the way goes to fuzz/corpus-found (ignored by
# git), an input that breaks the target to fuzz/artifacts.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${1:?which target? cargo +nightly fuzz list}
seconds=${2:-60}
mkdir -p "fuzz/corpus-found/$target" "fuzz/seeds/$target"
# No input larger than this says anything new, and 2 GiB bounds what a hostile length may allocate.
exec cargo +nightly fuzz run "$target" "fuzz/corpus-found/$target" "fuzz/seeds/$target" -- \
    -max_total_time="$seconds" -rss_limit_mb=2048 -malloc_limit_mb=1024 -timeout=10 \
    -max_len=65536 -print_final_stats=1
