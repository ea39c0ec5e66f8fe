#!/usr/bin/env python3
"""Compares what a store answers with an independent count made from the recording's CSV files.

    compare.py --nezha DIR --prepared FILE --annal BIN (--data DIR | --url URL)
               [--rows FILE] [--logs] [--seed N]

Counts by source, type and minute; ten whole traces field by field; fifty random filter queries.
--rows (the .ndjson of `replay prepare --rows`) adds the made-up attributes to the ten traces; --logs
says that the log lines have been imported, too. Exit code 1 if anything differs.
"""

import argparse
import json
import random
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import nezha

MINUTE_NS = 60_000_000_000


class Annal:
    """The command line, asked for JSON."""

    def __init__(self, binary, where):
        self.binary, self.where = binary, where

    def ask(self, *arguments):
        command = [self.binary, *arguments, *self.where, "--json"]
        done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8")
        if done.returncode not in (0, 1):
            sys.exit(f"{' '.join(command)}\nexit {done.returncode}: {done.stderr}")
        return [json.loads(line) for line in done.stdout.splitlines()]

    def count(self, *arguments):
        (line,) = self.ask("query", "--count", *arguments)
        return line["count"]


class Report:
    """Says what was compared, and remembers whether anything differed."""

    def __init__(self):
        self.wrong = 0

    def equal(self, what, expected, found):
        if expected == found:
            print(f"ok    {what}")
            return
        self.wrong += 1
        print(f"WRONG {what}")
        if isinstance(expected, Counter):
            print(f"      missing {list((expected - found).items())[:5]}")
            print(f"      too many {list((found - expected).items())[:5]}")
        else:
            print(f"      expected {expected!r}\n      found    {found!r}")


def minute(ns):
    return ns - ns % MINUTE_NS


def compare_counts(annal, spans, report):
    signal = ("--signal", "span")
    report.equal(f"{len(spans)} spans", len(spans), annal.count(*signal))
    keys = {
        "source": lambda s: (s.source,),
        "type": lambda s: (s.type,),
        "minute": lambda s: (minute(s.start),),
        "source,type,minute": lambda s: (s.source, s.type, minute(s.start)),
    }
    for by, key in keys.items():
        expected = Counter(map(key, spans))
        rows = annal.ask("query", "--count", "--by", by, *signal)
        found = Counter({tuple(row[k] for k in by.split(",")): row["count"] for row in rows})
        report.equal(f"counts by {by}: {len(expected)} groups", expected, found)


def made_up_attributes(rows, wanted):
    """(trace, span, start) -> attributes, in the order of the file, for the wanted traces."""
    found = defaultdict(list)
    with open(rows, encoding="utf-8") as lines:
        for line in lines:
            # The keys are sorted: the trace id stands last.
            if line[-35:-3] in wanted:
                row = json.loads(line)
                key = (row["trace_id"], row["span_id"], row["start"])
                found[key].append(json.dumps(row["attributes"], sort_keys=True))
    return {key: sorted(values) for key, values in found.items()}


def span_fields(span):
    return (
        span.span,
        span.parent,
        span.source,
        span.type,
        span.start,
        span.duration,
        span.kind,
        "error" if span.error else "unset",
        span.pod,
    )


def found_fields(event):
    return (
        event.get("span_id"),
        event.get("parent_span_id"),
        event["source"],
        event["type"],
        event["time"],
        event.get("duration"),
        event.get("kind", "unspecified"),
        event.get("status", "unset"),
        event.get("resource", {}).get("k8s.pod.name"),
    )


def compare_traces(annal, spans, rows, chance, report):
    by_trace = defaultdict(list)
    for span in spans:
        by_trace[span.trace].append(span)
    chosen = chance.sample(sorted(by_trace), 10)
    attributes = made_up_attributes(rows, set(chosen)) if rows else {}
    for trace in chosen:
        events = [e for e in annal.ask("trace", trace) if e["signal"] == "span"]
        expected = Counter(map(span_fields, by_trace[trace]))
        report.equal(f"trace {trace}: {len(by_trace[trace])} spans", expected,
                     Counter(map(found_fields, events)))
        if rows:
            found = defaultdict(list)
            for e in events:
                key = (trace, e["span_id"], e["time"])
                found[key].append(json.dumps(e.get("attributes", {}), sort_keys=True))
            found = {key: sorted(values) for key, values in found.items()}
            wanted = {key: value for key, value in attributes.items() if key[0] == trace}
            report.equal(f"trace {trace}: attributes", wanted, found)


def random_query(chance, spans, bounds):
    """Arguments, and the predicate that says the same."""
    arguments, tests, parts = ["--signal", "span"], [], []
    example = chance.choice(spans)
    first, last = bounds
    if chance.random() < 0.6:
        since = chance.randint(first, last)
        until = min(since + chance.choice([1, 5, 30, 120, 600]) * MINUTE_NS, last + 1)
        arguments += ["--since", str(since), "--until", str(until)]
        tests.append(lambda s: since <= s.start < until)
    if chance.random() < 0.5:
        arguments += ["--source", example.source]
        tests.append(lambda s: s.source == example.source)
    if chance.random() < 0.4:
        arguments += ["--type", example.type]
        tests.append(lambda s: s.type == example.type)
    if chance.random() < 0.15:
        arguments += ["--trace", example.trace]
        tests.append(lambda s: s.trace == example.trace)
    if chance.random() < 0.5:
        low = example.duration
        parts.append(f"duration >= {low}ns")
        tests.append(lambda s: s.duration >= low)
    if chance.random() < 0.3:
        high = example.duration * 3 + 1
        parts.append(f"duration < {high}ns")
        tests.append(lambda s: s.duration < high)
    if chance.random() < 0.3:
        parts.append("status = error")
        tests.append(lambda s: s.error)
    if chance.random() < 0.2:
        parts.append(f'span.user.id = "user-{example.user:05}"')
        tests.append(lambda s: s.user == example.user)
    if chance.random() < 0.2:
        parts.append(f'resource.service.name != "{example.source}"')
        tests.append(lambda s: s.source != example.source)
    if parts:
        arguments += ["--where", " && ".join(parts)]
    return arguments, lambda s: all(test(s) for test in tests)


# Answers up to this size are compared event by event, larger ones by their number.
LISTED_MAX = 20_000


def compare_queries(annal, spans, chance, report):
    bounds = (min(s.start for s in spans), max(s.start for s in spans))
    for number in range(1, 51):
        arguments, matches = random_query(chance, spans, bounds)
        expected = [s for s in spans if matches(s)]
        what = f"query {number}: {len(expected)} of {' '.join(arguments[2:]) or 'all'}"
        report.equal(what, len(expected), annal.count(*arguments))
        if 0 < len(expected) <= LISTED_MAX:
            order = chance.choice(["newest", "oldest"])
            events = annal.ask("query", "--limit", str(LISTED_MAX + 1), "--order", order, *arguments)
            found = Counter((e["trace_id"], e["span_id"], e["time"]) for e in events)
            report.equal(f"query {number}: its events, {order} first",
                         Counter((s.trace, s.span, s.start) for s in expected), found)
            times = [e["time"] for e in events]
            report.equal(f"query {number}: their order", sorted(times, reverse=order == "newest"),
                         times)


def compare_logs(annal, nezha_dir, add_ns, chance, report):
    logs = list(nezha.logs(nezha_dir, add_ns))
    signal = ("--signal", "log")
    report.equal(f"{len(logs)} log lines", len(logs), annal.count(*signal))
    for by, key in {"source": lambda l: l.source, "minute": lambda l: minute(l.time)}.items():
        rows = annal.ask("query", "--count", "--by", by, *signal)
        report.equal(f"log lines by {by}", Counter(map(key, logs)),
                     Counter({row[by]: row["count"] for row in rows}))
    by_trace = defaultdict(list)
    for log in logs:
        if log.trace:
            by_trace[log.trace].append(log)
    for trace in chance.sample(sorted(by_trace), 10):
        events = [e for e in annal.ask("trace", trace) if e["signal"] == "log"]
        found = Counter((e["time"], e.get("span_id"), e["source"], e["message"],
                         e.get("severity")) for e in events)
        expected = Counter((l.time, l.span, l.source, l.message, l.severity)
                           for l in by_trace[trace])
        report.equal(f"trace {trace}: {len(by_trace[trace])} log lines", expected, found)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nezha", required=True)
    parser.add_argument("--prepared", required=True)
    parser.add_argument("--annal", required=True)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--data")
    where.add_argument("--url")
    parser.add_argument("--rows")
    parser.add_argument("--logs", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    place = ["--data", args.data] if args.data else ["--url", args.url]
    annal, report, chance = Annal(args.annal, place), Report(), random.Random(args.seed)
    add_ns = nezha.shifts(Path(args.prepared).read_text(encoding="utf-8"))
    spans = nezha.spans(args.nezha, add_ns)
    compare_counts(annal, spans, report)
    compare_traces(annal, spans, args.rows, chance, report)
    compare_queries(annal, spans, chance, report)
    if args.logs:
        compare_logs(annal, args.nezha, add_ns, chance, report)
    print(f"{report.wrong} differences" if report.wrong else "no difference")
    sys.exit(1 if report.wrong else 0)


if __name__ == "__main__":
    main()
