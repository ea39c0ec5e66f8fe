//! A block, read by hand as the document says: the head, the place of every chunk, and its checksum.

use annal::codec::{Cursor, crc32};
use annal::column::{BatchView, Block, Gather};
use annal::format::frame::{Codec, FrameKind};
use annal::segment::series::{decode_series, encode_series};
use annal::{BatchBuilder, Event, Timestamp};

use crate::{NOON_NS, format_document};

fn block() -> Block {
    let mut builder = BatchBuilder::new();
    for i in 0..40 {
        let event = Event {
            time: Timestamp(NOON_NS + i),
            source: "cart".into(),
            event_type: if i % 3 == 0 { "AddItem" } else { "GetCart" }.into(),
            status_message: format!("message number {} of a few", i % 5),
            ..Event::default()
        };
        builder.push(&event).unwrap();
    }
    let batch = builder.finish().unwrap();
    let view = BatchView::open(batch.header(), batch.payload()).unwrap();
    let mut gather = Gather::new();
    gather.add(batch.header(), &view, 0..40).unwrap();
    gather.finish().unwrap()
}

#[test]
fn a_block_is_what_the_text_says() {
    let Block { header, bytes, totals, .. } = block();
    assert_eq!((header.kind, header.events), (FrameKind::Block, 40));
    let mut c = Cursor::new(&bytes);
    let head_length = c.u32().unwrap() as usize;
    let stored = c.take(head_length).unwrap();
    assert_eq!(crc32(&bytes[..4 + head_length]), header.payload_crc);
    let head = match header.codec {
        Codec::Zstd => zstd::bulk::decompress(stored, header.raw_length as usize).unwrap(),
        Codec::None => stored.to_vec(),
    };
    assert_eq!(head.len(), header.raw_length as usize);
    let mut h = Cursor::new(&head);
    assert_eq!(h.u8().unwrap(), 1, "block version");
    let rows: Vec<u64> = (0..5).map(|_| h.varint().unwrap()).collect();
    assert_eq!(rows, [1, 0, 40, 0, 0]);
    assert_eq!(h.varint().unwrap(), 0, "every event has every column");
    let items = format_document().table_of("part");
    let entry =
        items.iter().skip_while(|i| !i[0].starts_with("table, field, type, key")).map(|i| &i[0]);
    let entry: Vec<_> = entry.take(5).map(String::as_str).collect();
    assert_eq!(entry[1..], ["body length", "stored length", "tail length", "crc"]);
    for _ in 0..h.varint().unwrap() {
        let (_table, field, _type) = (h.u8().unwrap(), h.u8().unwrap(), h.u8().unwrap());
        assert_ne!(field, 0, "no attributes here");
        let (_presence, _encoding) = (h.varint().unwrap(), h.u8().unwrap());
        let body = h.varint().unwrap() as usize;
        let (stored, tail) = (h.varint().unwrap() as usize, h.varint().unwrap() as usize);
        let crc = h.u32().unwrap();
        let chunk = c.take(stored + tail).unwrap();
        assert_eq!(crc32(chunk), crc);
        if stored < body {
            assert_eq!(zstd::bulk::decompress(&chunk[..stored], body).unwrap().len(), body);
        }
    }
    h.finish().unwrap();
    c.finish().unwrap();
    assert_eq!(decode_series(&encode_series(&totals)).unwrap(), totals);
}
