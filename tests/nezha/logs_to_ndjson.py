#!/usr/bin/env python3
"""Converts the recording's log CSVs to NDJSON, moved in time as `replay prepare` moves the spans.

    logs_to_ndjson.py --nezha DIR --prepared FILE --out FILE

DIR is the parent of rca_data; FILE of --prepared holds what `replay prepare` printed.
"""

import argparse
import json
from pathlib import Path

import nezha


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nezha", required=True)
    parser.add_argument("--prepared", required=True)
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    add_ns = nezha.shifts(Path(args.prepared).read_text(encoding="utf-8"))
    lines = 0
    with open(args.out, "w", encoding="utf-8") as out:
        for log in nezha.logs(args.nezha, add_ns):
            out.write(json.dumps(nezha.log_event(log), ensure_ascii=False) + "\n")
            lines += 1
    print(f"{lines} log lines")


if __name__ == "__main__":
    main()
