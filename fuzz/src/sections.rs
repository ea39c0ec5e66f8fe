//! What a compacted segment knows of its blocks: attributes, links, minutes, without the checksums
//! around them.
//!
//! An input is a byte that says which section, then the section; before minutes, in 8 bytes, how
//! many events the segment has.

use std::collections::BTreeMap;

use annal::index::attributes::{AttributeFilters, AttributeId, AttributesBuilder, BlockAttributes};
use annal::index::links::{LinkFilters, LinksBuilder};
use annal::index::minutes::{Minute, Minutes, decode_minutes, encode_minutes};
use annal::index::trace_hash;
use annal::{TraceId, index};

const ATTRIBUTES: u8 = 0;
const LINKS: u8 = 1;

fn user() -> AttributeId {
    AttributeId { table: 2, value_type: 1, key: "user.id".to_owned() }
}

/// Inputs that stand for real sections, with their names.
pub fn pack_sections() -> [(&'static str, Vec<u8>); 3] {
    let mut attributes = AttributesBuilder::default();
    attributes.push(&BlockAttributes {
        present: vec![(user(), true)],
        hashes: vec![user().hash(b"u-1")],
    });
    attributes.push(&BlockAttributes::default());
    let attributes = attributes.encode().expect("few attributes");
    let mut links = LinksBuilder::default();
    links.push(&[trace_hash(&TraceId([7; 16]))]);
    links.push(&[]);
    let links = links.encode().expect("a link");
    let mut durations = index::Histogram::default();
    [-1, 1_000, 1_000_000].into_iter().for_each(|duration| durations.record(duration));
    let minute = Minute { events: 4, errors: 1, durations };
    let cells = BTreeMap::from([(27_686_160, minute)]);
    let minutes = encode_minutes(&Minutes::from([("cart".to_owned(), cells)]));
    [
        ("attributes", [&[ATTRIBUTES], attributes.as_slice()].concat()),
        ("links", [&[LINKS], links.as_slice()].concat()),
        ("minutes", [&[2, 4, 0, 0, 0, 0, 0, 0, 0], minutes.as_slice()].concat()),
    ]
}

/// Decodes a section and asks it for what is there and what is not.
pub fn sections(data: &[u8]) {
    let Some((&[which], bytes)) = data.split_first_chunk() else { return };
    match which {
        ATTRIBUTES => attributes(bytes),
        LINKS => links(bytes),
        _ => minutes(bytes),
    }
}

fn attributes(bytes: &[u8]) {
    let Ok(filters) = AttributeFilters::new(bytes) else { return };
    assert!(filters.block(filters.blocks()).is_none());
    for value in [None, Some(b"u-1".as_slice())] {
        let Some(sought) = filters.seek(&user(), value) else { continue };
        for index in 0..filters.blocks() {
            let _ = filters.block(index).expect("a block").may_contain(sought);
        }
    }
}

fn links(bytes: &[u8]) {
    let Ok(filters) = LinkFilters::new(bytes) else { return };
    for target in [0, u64::MAX, trace_hash(&TraceId([7; 16]))] {
        assert!(filters.may_link(filters.blocks(), target).is_none());
        assert!((0..filters.blocks()).all(|index| filters.may_link(index, target).is_some()));
    }
}

fn minutes(bytes: &[u8]) {
    let Some((events, bytes)) = bytes.split_first_chunk() else { return };
    let events = u64::from_le_bytes(*events);
    let read = |bytes: &[u8]| {
        let mut minutes = Minutes::new();
        let put = |source: &str, number, minute| {
            minutes.entry(source.to_owned()).or_default().insert(number, minute);
        };
        decode_minutes(bytes, events, put).map(|()| minutes)
    };
    let Ok(minutes) = read(bytes) else { return };
    let again = read(&encode_minutes(&minutes)).expect("what was encoded decodes");
    assert_eq!(again, minutes);
}
