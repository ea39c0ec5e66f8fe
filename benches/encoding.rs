//! Each encoding on a column as traces have it: how fast it is written and read, in values, and how
//! small it gets. Sizes are printed once: bytes as they are in memory, encoded, and with zstd behind.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench that cannot run ends")]

use std::hint::black_box;

use annal::column::{
    Encoded, Ids, Kernels, Texts, decode_by_type, decode_presence, encode_by_type, encode_presence,
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// Events of a block.
const ROWS: usize = 8_192;
const START_NS: i64 = 1_661_169_600_000_000_000;

/// The mixer of splitmix64.
fn noise(i: usize) -> u64 {
    let mut z = (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

/// Spread over as many orders of magnitude as durations are.
fn wide(i: usize) -> i64 {
    (noise(i) >> (24 + noise(i + ROWS) % 20)) as i64
}

fn of_rows<T>(value: impl FnMut(usize) -> T) -> Vec<T> {
    (0..ROWS).map(value).collect()
}

/// Encoding and content of a column, and the code of the encoding.
type Name = (&'static str, u8);

fn columns_of_integers() -> [(Name, Vec<i64>); 7] {
    let mut time = START_NS;
    [
        (("constant: signal", 1), of_rows(|_| 0)),
        (("packed: port", 2), of_rows(|i| 32_768 + (noise(i) >> 49) as i64)),
        (("delta: counter", 3), of_rows(|i| 1_000_003 * i as i64 + (noise(i) % 64) as i64)),
        (
            ("dictionary: status code", 4),
            of_rows(|i| [200, 200, 200, 404, 500][noise(i) as usize % 5]),
        ),
        (("runs: resource", 5), of_rows(|i| (i / 700) as i64)),
        (("widths: duration", 6), of_rows(wide)),
        (
            ("delta widths: time", 7),
            of_rows(|i| {
                time += wide(i) >> 8;
                time
            }),
        ),
    ]
}

fn columns_of_texts() -> [(Name, Texts); 3] {
    let column = |distinct: usize, text: &dyn Fn(usize) -> String| {
        let mut column = Texts { bytes: Vec::new(), offsets: vec![0], codes: Vec::new() };
        for value in 0..distinct {
            column.bytes.extend_from_slice(text(value).as_bytes());
            column.offsets.push(column.bytes.len() as u32);
        }
        // In order of first appearance.
        column.codes =
            of_rows(|i| if i < distinct { i } else { noise(i) as usize % distinct } as u32);
        column
    };
    [
        (
            ("text dictionary: type", 16),
            column(60, &|i| format!("shop.Service{}/Method{i}", i % 12)),
        ),
        (("text plain: url", 17), column(ROWS, &|i| format!("http://shop/item?id={:x}", noise(i)))),
        (
            ("text templates: statement", 19),
            column(2_400, &|i| {
                let (table, id) = (["cart", "orders"][i % 2], noise(i) % 5_000);
                format!("SELECT name, price FROM {table} WHERE id = {id} AND region = {}", i % 8)
            }),
        ),
    ]
}

/// Prints what a column takes.
fn size(name: &str, plain: usize, encoded: &Encoded) {
    let body = zstd::bulk::compress(&encoded.body, 3).unwrap().len().min(encoded.body.len());
    let bare = encoded.body.len() + encoded.tail.len();
    println!("{name}: {plain} bytes, {bare} encoded, {} stored", body + encoded.tail.len());
}

/// Measures both ways of a column, each value of it one element.
fn both<T>(
    c: &mut Criterion,
    (name, code): Name,
    plain: usize,
    encode: impl Fn() -> Encoded,
    decode: impl Fn(&Encoded) -> annal::Result<T>,
) {
    let encoded = encode();
    assert_eq!(encoded.encoding, code, "{name} is encoded otherwise");
    decode(&encoded).unwrap();
    size(name, plain, &encoded);
    let mut group = c.benchmark_group(format!("encoding/{name}"));
    group.throughput(Throughput::Elements(ROWS as u64));
    group.bench_function("encode", |b| b.iter(&encode));
    group.bench_function("decode", |b| b.iter(|| decode(black_box(&encoded)).unwrap()));
    group.finish();
}

fn encodings(c: &mut Criterion) {
    for (name, values) in &columns_of_integers() {
        let encode = || Encoded::integers(black_box(values));
        both(c, *name, ROWS * 8, encode, |encoded| encoded.read_integers(ROWS));
    }
    for (name, texts) in &columns_of_texts() {
        let plain = (0..ROWS).map(|row| texts.row(row).map_or(0, <[u8]>::len)).sum();
        let encode = || Encoded::texts_in_block(black_box(texts));
        both(c, *name, plain, encode, |encoded| encoded.read_texts(ROWS));
    }
    let spans = of_rows(|i| noise(i).to_le_bytes());
    let plain = Ids { values: spans.clone(), codes: of_rows(|i| i as u32) };
    let traces =
        of_rows(|i| [noise(i), noise(i + ROWS)].map(u64::to_le_bytes).concat().try_into().unwrap());
    let repeated =
        Ids::<16> { values: traces[..ROWS / 8].into(), codes: of_rows(|i| i as u32 / 8) };
    // The first span of a trace has its parent elsewhere.
    let parents =
        of_rows(|i| if i % 8 == 0 { noise(i + ROWS).to_le_bytes() } else { spans[i - i % 8] });
    both(
        c,
        ("id plain: span id", 25),
        ROWS * 8,
        || Encoded::ids(black_box(&plain)),
        |encoded| encoded.read_ids::<8>(ROWS),
    );
    both(
        c,
        ("id dictionary: trace id", 24),
        ROWS * 16,
        || Encoded::ids(black_box(&repeated)),
        |encoded| encoded.read_ids::<16>(ROWS),
    );
    both(
        c,
        ("id reference: parent", 26),
        ROWS * 8,
        || Encoded::parents(black_box(&parents), &spans),
        |e| e.read_parents(ROWS, &spans),
    );
}

/// As of a method, which follows from the type but for one event in a thousand.
fn codes_by_type(c: &mut Criterion) {
    let distinct = |i: usize, of: usize| if i < of { i } else { noise(i) as usize % of };
    let types = of_rows(|i| distinct(i, 60) as u16);
    let codes = of_rows(|i| if i % 1_000 == 999 { 0 } else { types[i] / 2 });
    let rows = of_rows(|i| i as u16);
    let encode = || encode_by_type((&codes, 30), &rows, (&types, 60)).unwrap();
    let bytes = encode();
    let plain: Vec<u8> = codes.iter().map(|code| *code as u8).collect();
    let stored = |bytes: &[u8]| zstd::bulk::compress(bytes, 3).unwrap().len();
    println!("codes: {ROWS} bytes, {} stored; by type {}", stored(&plain), stored(&bytes));
    let mut group = c.benchmark_group("encoding/codes by type");
    group.throughput(Throughput::Elements(ROWS as u64));
    group.bench_function("encode", |b| b.iter(encode));
    group.bench_function("decode", |b| {
        b.iter(|| decode_by_type(black_box(&bytes), 30, (&types, 60)).unwrap())
    });
    group.finish();
}

fn presences(c: &mut Criterion) {
    for (name, one_in) in [("gaps", 100), ("bitmap", 3)] {
        let rows: Vec<u16> = (0..ROWS as u16)
            .filter(|row| noise(usize::from(*row)).is_multiple_of(one_in))
            .collect();
        let bytes = encode_presence(&rows, ROWS);
        println!("presence of one row in {one_in}: {} bytes for {} rows", bytes.len(), rows.len());
        let mut group = c.benchmark_group(format!("encoding/presence: {name}"));
        group.throughput(Throughput::Elements(ROWS as u64));
        group.bench_function("encode", |b| b.iter(|| encode_presence(black_box(&rows), ROWS)));
        group.bench_function("decode", |b| {
            b.iter(|| decode_presence(black_box(&bytes), ROWS).unwrap())
        });
        group.finish();
    }
}

/// The values of a trace: one row in eight of the middle of a block.
fn picks(c: &mut Criterion) {
    let ranks: Vec<u32> = (0..45).map(|i| ROWS as u32 / 2 + i * 8).collect();
    let mut group = c.benchmark_group("pick 45 values");
    for ((name, _), values) in columns_of_integers() {
        let encoded = Encoded::integers(&values);
        group.bench_function(name, |b| {
            b.iter(|| encoded.pick_integers(ROWS, black_box(&ranks)).unwrap());
        });
    }
    group.finish();
}

/// A tenth of a column's values is looked for: from its encoded form, and by decoding all of it and
/// comparing with the kernels that this processor has and with the plain ones.
fn selections(c: &mut Criterion) {
    for ((name, _), values) in columns_of_integers() {
        let mut sorted = values.clone();
        sorted.sort_unstable();
        let range = (sorted[ROWS / 10 * 9], i64::MAX);
        let encoded = Encoded::integers(&values);
        let mut group = c.benchmark_group(format!("selection/{name}"));
        group.throughput(Throughput::Elements(ROWS as u64));
        group.bench_function("as encoded", |b| {
            b.iter(|| encoded.integers_between(ROWS, black_box(range), Kernels::default()).unwrap())
        });
        for (kernels, set) in [(Kernels::default(), "fastest"), (Kernels::plain(), "plain")] {
            group.bench_function(format!("decode and compare, {set} kernels"), |b| {
                b.iter(|| {
                    let values = encoded.read_integers(ROWS).unwrap();
                    kernels.between(&values, black_box(range.0), range.1)
                })
            });
            group.bench_function(format!("compare, {set} kernels"), |b| {
                b.iter(|| kernels.between(black_box(&values), range.0, range.1))
            });
        }
        group.finish();
    }
}

criterion_group!(benches, encodings, codes_by_type, presences, picks, selections);
criterion_main!(benches);
