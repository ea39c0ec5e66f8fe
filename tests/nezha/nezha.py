"""The recording itself, read from its CSV files: what a store must answer, counted without annal.

Spans follow the rules of `replay prepare` (../shared/tools/replay): which lines count, how days are
moved in time, what a pod's service is. Everything is a plain list; the tests compare multisets,
because 6,802 (trace id, span id) pairs occur more than once in the recording.
"""

import csv
import json
import re
import sys
from collections import namedtuple
from datetime import datetime, timezone
from pathlib import Path

Span = namedtuple("Span", "trace span parent pod source type start duration kind error user")
Log = namedtuple("Log", "time trace span pod source message severity")

MASK = (1 << 64) - 1
HEX = re.compile(r"\A[0-9a-fA-F]+\Z")
KINDS = {1: "internal", 2: "server", 3: "client"}


def mix(z):
    """SplitMix64's finaliser, with which `replay prepare` makes errors and users up."""
    z = (z + 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def service_of(pod):
    """The pod's name without its two hash suffixes."""
    parts = pod.rsplit("-", 2)
    return parts[0] if len(parts) == 3 else pod


def kind_of(operation):
    if "Recv" in operation or operation.startswith("/"):
        return KINDS[2]
    if operation.startswith(("HTTP", "SELECT", "sql", "grpc")):
        return KINDS[3]
    return KINDS[1]


def shifts(prepare_output):
    """What `replay prepare` printed: the nanoseconds to add to each day's recorded times."""
    found = dict(re.findall(r"^day (\S+) add_ns (-?\d+)$", prepare_output, re.MULTILINE))
    if not found:
        sys.exit("no line 'day D add_ns N' in the output of replay prepare")
    return {day: int(ns) for day, ns in found.items()}


def hex_id(text, digits):
    return text.lower() if len(text) == digits and HEX.match(text) else None


def day_spans(directory, day, add_ns):
    names = {}
    for path in sorted(Path(directory, "rca_data", day, "trace").iterdir()):
        with open(path, encoding="utf-8", newline="\n") as lines:
            next(lines, None)
            for line in lines:
                fields = line.rstrip("\r\n").split(",")
                if len(fields) < 8:
                    continue
                trace, span = hex_id(fields[0], 32), hex_id(fields[1], 16)
                if not trace or not span or not fields[5].isdigit() or not fields[6].isdigit():
                    continue
                start, end = int(fields[5]), int(fields[6])
                pod = names.setdefault(fields[3], fields[3])
                operation = names.setdefault(fields[4], fields[4])
                source = names.setdefault("service " + pod, service_of(pod))
                yield Span(
                    trace=trace,
                    span=span,
                    parent=hex_id(fields[2], 16),
                    pod=pod,
                    source=source,
                    type=operation,
                    start=start + add_ns,
                    duration=max(end - start, 0),
                    kind=kind_of(operation),
                    error=mix(int(span, 16) ^ 99) % 100 == 0,
                    user=mix(int(trace[:16], 16) ^ 7) % 10_000,
                )


def spans(directory, add_ns):
    return [span for day, ns in add_ns.items() for span in day_spans(directory, day, ns)]


SEVERITIES = {"TRACE": 1, "DEBUG": 5, "INFO": 9, "WARN": 13, "WARNING": 13, "ERROR": 17, "FATAL": 21}
LEVEL = re.compile(r"\A\d\d:\d\d:\d\d\.\d{3} +(TRACE|DEBUG|INFO|WARN|ERROR|FATAL) ")


def log_parts(wrapped):
    """The line as the service wrote it: message, and severity where one is given."""
    try:
        text = json.loads(wrapped)["log"].rstrip("\n")
    except (ValueError, KeyError, TypeError):
        return wrapped, None
    try:
        inner = json.loads(text)
    except ValueError:
        level = LEVEL.match(text)
        return text, level.group(1) if level else None
    if not isinstance(inner, dict) or not isinstance(inner.get("message"), str):
        return text, None
    severity = inner.get("severity")
    return inner["message"], severity if isinstance(severity, str) else None


def log_time(row):
    """Nanoseconds. 79 lines were recorded with Go's zero time: theirs is when the runtime took them."""
    recorded = int(row["TimeUnixNano"])
    if recorded > 0:
        return recorded
    whole, fraction = json.loads(row["Log"])["time"].rstrip("Z").split(".")
    seconds = datetime.fromisoformat(whole).replace(tzinfo=timezone.utc).timestamp()
    return int(seconds) * 1_000_000_000 + int(fraction.ljust(9, "0"))


def logs(directory, add_ns):
    csv.field_size_limit(1 << 30)
    for day, ns in add_ns.items():
        for path in sorted(Path(directory, "rca_data", day, "log").iterdir()):
            with open(path, encoding="utf-8", newline="") as file:
                for row in csv.DictReader(file):
                    message, severity = log_parts(row["Log"])
                    yield Log(
                        time=log_time(row) + ns,
                        trace=hex_id(row["TraceID"], 32),
                        span=hex_id(row["SpanID"], 16),
                        pod=row["PodName"],
                        source=service_of(row["PodName"]),
                        message=message,
                        severity=severity,
                    )


def log_event(log):
    """A log line as annal's event JSON."""
    event = {"time": log.time, "signal": "log", "source": log.source, "message": log.message}
    if log.trace:
        event["trace_id"] = log.trace
    if log.span:
        event["span_id"] = log.span
    if log.severity:
        event["severity"] = log.severity
        number = SEVERITIES.get(log.severity.upper())
        if number:
            event["severity_number"] = number
    event["resource"] = {"service.name": log.source, "k8s.pod.name": log.pod}
    return event
