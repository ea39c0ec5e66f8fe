#!/usr/bin/env python3
"""A producer for annal in plain Python: the proof that any language can speak the protocol.

Standard library only. It makes events, encodes them as columns (storage-format.md, "Payload"), sends
them as frames (docs/wire-protocol.md), waits until they are durable, and after a lost connection
sends again what was not answered, under the same batch numbers, so that nothing is stored twice.

    producer.py 127.0.0.1:7071 --events 1000 --batch 100

The simplest encodings are enough to be understood: a column says itself how it is encoded.
"""

import argparse
import os
import socket
import struct
import sys
import time
import zlib

HELLO, WELCOME, APPEND, ACK, DUPLICATE, CREDITS, ERROR, PING, PONG = range(1, 10)
GOODBYE = 14
HEAD_BYTES, FRAME_HEADER_BYTES = 20, 128
RESOURCES, EVENTS = 0, 2
ATTRIBUTE, SOURCE, RESOURCE, TIME, SIGNAL, TYPE, TRACE_ID, SPAN_ID, DURATION = 0, 1, 7, 9, 11, 12, 13, 14, 16
STRING, INT, BYTES = 1, 2, 5
PACKED, TEXT_DICTIONARY, ID_PLAIN = 2, 16, 25
# None of these encodings has another place than 0, so bodies stand in the order of the entries.


# --- payload: events as columns -----------------------------------------------------------------

def varint(value):
    """Unsigned LEB128."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def zigzag(value):
    return varint((value << 1) ^ (value >> 63))


def packed(values):
    """Integers: per 128 values the least one and a width; in the tail the bits above the least one."""
    out, bits, filled = b"", 0, 0
    for start in range(0, len(values), 128):
        block = values[start:start + 128]
        least = min(block)
        width = (max(block) - least).bit_length()
        for value in block:
            bits |= (value - least) << filled
            filled += width
        out += zigzag(least) + bytes([width])
    return PACKED, out, bits.to_bytes((filled + 7) // 8, "little")


def ids(values):
    """Ids: one after another, all in the tail."""
    return ID_PLAIN, b"", b"".join(values)


def texts(values):
    """Texts: the distinct ones in order of first appearance, then a code per row."""
    entries = {}
    codes = [entries.setdefault(v.encode(), len(entries)) for v in values]
    out = varint(len(entries)) + b"".join(varint(len(e)) for e in entries) + b"".join(entries)
    if len(entries) > 256:
        out += bytes(c & 0xFF for c in codes) + bytes(c >> 8 for c in codes)
    elif len(entries) > 1:
        out += bytes(codes)
    return TEXT_DICTIONARY, out, b""


def payload(source, events):
    """The raw payload of events of one source; each has time, type, ids, duration, attributes."""
    column = lambda key: [event[key] for event in events]
    columns = {  # in ascending order: (table, field, key, type)
        (RESOURCES, SOURCE, b"", STRING): texts([source]),
        (EVENTS, RESOURCE, b"", INT): packed([0] * len(events)),
        (EVENTS, TIME, b"", INT): packed(column("time")),
        (EVENTS, SIGNAL, b"", INT): packed([0] * len(events)),
        (EVENTS, TYPE, b"", STRING): texts(column("type")),
        (EVENTS, TRACE_ID, b"", BYTES): ids(column("trace_id")),
        (EVENTS, SPAN_ID, b"", BYTES): ids(column("span_id")),
        (EVENTS, DURATION, b"", INT): packed(column("duration")),
    }
    for key in events[0]["attributes"]:
        values = [event["attributes"][key] for event in events]
        columns[(EVENTS, ATTRIBUTE, key.encode(), STRING)] = texts(values)
    entries, bodies, tails = b"", b"", b""
    for (table, field, key, kind), (encoding, body, tail) in sorted(columns.items()):
        entries += bytes([table, field, kind])
        if field == ATTRIBUTE:
            entries += varint(len(key)) + key + varint(0)
        # Present in every row: presence 0.
        entries += varint(0) + bytes([encoding]) + varint(len(body)) + varint(len(tail))
        bodies += body
        tails += tail
    rows = b"".join(varint(n) for n in (1, 0, len(events), 0, 0))
    return b"\x01" + rows + varint(0) + varint(len(columns)) + entries + bodies + tails


def frame(producer, epoch, number, events, body):
    """Frame header and payload; the six fields of the store are zero."""
    times = [event["time"] for event in events]
    header = struct.pack(
        "<4sHBBHH4x4QII2qqqII16sQI",
        b"ANLf", 1, 1, 0, FRAME_HEADER_BYTES, 0,
        0, 0, 0, 0, len(body), len(body), 0, 0, min(times), max(times),
        len(events), epoch, producer, number, zlib.crc32(body))
    return header + struct.pack("<I", zlib.crc32(header)) + body


# --- messages -------------------------------------------------------------------------------------

def message(kind, request, body):
    head = struct.pack("<IBBHQ", len(body), kind, 0, 0, request)
    return head + struct.pack("<I", zlib.crc32(body, zlib.crc32(head))) + body


def read_exactly(connection, length):
    data = b""
    while len(data) < length:
        more = connection.recv(length - len(data))
        if not more:
            raise ConnectionError("the server has ended the connection")
        data += more
    return data


def read_message(connection):
    head = read_exactly(connection, HEAD_BYTES)
    length, kind, _flags, _, request, crc = struct.unpack("<IBBHQI", head)
    body = read_exactly(connection, length)
    if zlib.crc32(body, zlib.crc32(head[:16])) != crc:
        raise ConnectionError("a message's checksum is wrong")
    return kind, request, body


class Refused(Exception):
    """The server will not take it, now or later."""


def error_of(body):
    code, flags, after_ms, _expected, length, _ = struct.unpack_from("<HHIQHH", body)
    text = body[20:20 + length].decode()
    return (ConnectionError if flags & 2 else Refused)(f"error {code}: {text}"), after_ms


# --- the producer ---------------------------------------------------------------------------------

class Producer:
    """Sends batches in order and keeps each until it is durable."""

    def __init__(self, address, producer, epoch=0):
        self.address, self.id, self.epoch = address, producer, epoch
        self.unanswered = {}  # batch number -> frame, ascending
        self.requests = {}  # request -> batch number, on this connection
        self.next_number = None
        self.connection = None
        self.acknowledged = self.duplicates = 0

    def connect(self):
        self.connection = socket.create_connection(self.address, timeout=30)
        name = b"producer.py"
        self.connection.sendall(message(HELLO, 0, struct.pack(
            "<4sHHHH16sI", b"ANLp", 1, 1, 1, len(name), self.id, self.epoch) + name))
        kind, _, body = read_message(self.connection)
        if kind == ERROR:
            raise error_of(body)[0]
        _version, _flags, _, _, _, self.in_flight_max, _, self.credits, expected = struct.unpack_from(
            "<HHIIIIIQQ", body)
        if self.next_number is None:
            self.next_number = expected
        self.requests.clear()
        for number, unsent in list(self.unanswered.items()):
            self.send(number, unsent)

    def send(self, number, data):
        while len(self.requests) >= self.in_flight_max or self.credits < len(data):
            self.receive()
        self.credits -= len(data)
        self.requests[number + 1] = number  # requests begin with 1
        self.connection.sendall(message(APPEND, number + 1, data))

    def receive(self):
        kind, request, body = read_message(self.connection)
        if kind in (ACK, DUPLICATE):
            del self.unanswered[self.requests.pop(request)]
            self.acknowledged += 1
            self.duplicates += kind == DUPLICATE
        elif kind == CREDITS:
            self.credits += struct.unpack("<Q", body)[0]
        elif kind == ERROR:
            error, after_ms = error_of(body)
            time.sleep(after_ms / 1000)
            raise error
        elif kind == GOODBYE:
            raise ConnectionError("the server stops")

    def persist(self, work):
        """Does the work, connecting as often as it takes."""
        for attempt in range(20):
            try:
                if self.connection is None:
                    self.connect()
                return work()
            except OSError as error:
                print(f"again: {error}", file=sys.stderr)
                if self.connection:
                    self.connection.close()
                self.connection = None
                time.sleep(min(0.05 * 2 ** attempt, 2))
        raise SystemExit("the server cannot be reached")

    def append(self, source, events):
        body = payload(source, events)

        def first_time():
            number = self.next_number
            data = frame(self.id, self.epoch, number, events, body)
            self.unanswered[number] = data
            self.next_number += 1
            return number, data

        number, data = self.persist(first_time)
        # After a lost connection `connect` sends it, with all others that are not answered.
        self.persist(lambda: number + 1 in self.requests or number not in self.unanswered
                     or self.send(number, data))

    def flush(self):
        """Waits until everything is durable."""
        def rest():
            while self.unanswered:
                self.receive()
        self.persist(rest)


def make_events(start, count, first_ns):
    for i in range(start, start + count):
        yield {
            "time": first_ns + i,
            "type": ("checkout", "pay", "ship")[i % 3],
            "trace_id": (i // 10 + 1).to_bytes(16, "big"),
            "span_id": (i + 1).to_bytes(8, "big"),
            "duration": 1_000_000 + i * 7919 % 500_000,
            "attributes": {"host": f"node-{i % 4}", "user.id": f"u-{i % 300}"},
        }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("address", help="host:port of the server's TCP protocol")
    parser.add_argument("--events", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--source", default="python-shop")
    parser.add_argument("--first-ns", type=int, default=time.time_ns(), help="time of the first event")
    parser.add_argument("--producer", default=os.urandom(16).hex(), help="32 hex digits")
    parser.add_argument("--drop-every", type=int, default=0,
                        help="drop the connection behind every Nth batch, to see it mend")
    options = parser.parse_args()
    host, port = options.address.rsplit(":", 1)
    producer = Producer((host, int(port)), bytes.fromhex(options.producer))
    for at, start in enumerate(range(0, options.events, options.batch), 1):
        count = min(options.batch, options.events - start)
        producer.append(options.source, list(make_events(start, count, options.first_ns)))
        if options.drop_every and at % options.drop_every == 0:
            producer.connection.shutdown(socket.SHUT_RD)
    producer.flush()
    print(f"{options.events} events in {producer.acknowledged} batches are durable, "
          f"{producer.duplicates} of them had been stored before")


if __name__ == "__main__":
    main()
