#!/usr/bin/env python3
"""One table from what criterion measured: target/criterion/**/new/{estimates,benchmark}.json.

Standard library only. Times are medians with the 95 % confidence interval of the median; the rate
follows from the throughput that the bench declared. Usage: bench_report.py [criterion directory]
"""

import json
import os
import pathlib
import sys

UNITS = [("s", 1e9), ("ms", 1e6), ("us", 1e3), ("ns", 1.0)]


def time_text(ns):
    """The duration in the largest unit that keeps it at or above one."""
    for unit, factor in UNITS:
        if ns >= factor:
            return f"{ns / factor:.3g} {unit}"
    return f"{ns:.3g} ns"


def rate_text(throughput, ns):
    """What passes in a second, or nothing if the bench declared no throughput."""
    if not throughput or ns <= 0:
        return ""
    kind, amount = next(iter(throughput.items()))
    per_second = amount / (ns / 1e9)
    if kind.startswith("Bytes"):
        return f"{per_second / 1e6:,.0f} MB/s"
    return f"{per_second / 1e6:,.3f} M/s"


def rows(root):
    """(name, median, interval, rate) of each bench found, by name."""
    for estimates in sorted(root.glob("**/new/estimates.json")):
        measured = json.loads(estimates.read_text(encoding="utf-8"))["median"]
        about = json.loads(estimates.with_name("benchmark.json").read_text(encoding="utf-8"))
        median = measured["point_estimate"]
        interval = measured["confidence_interval"]
        low, high = interval["lower_bound"], interval["upper_bound"]
        yield (
            about["full_id"],
            time_text(median),
            f"{time_text(low)} .. {time_text(high)}",
            rate_text(about.get("throughput"), median),
        )


def main():
    target = os.environ.get("CARGO_TARGET_DIR", "target")
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else f"{target}/criterion")
    table = [("bench", "median", "95 % interval", "rate"), *rows(root)]
    if len(table) == 1:
        sys.exit(f"no results under {root}: run `cargo bench --workspace` first")
    widths = [max(len(row[i]) for row in table) for i in range(4)]
    table.insert(1, tuple("-" * width for width in widths))
    for row in table:
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |")


if __name__ == "__main__":
    main()
