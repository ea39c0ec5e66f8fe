use super::*;
use crate::format::segment::SegmentHeader;

fn header() -> SegmentHeader {
    SegmentHeader {
        compacted: false,
        store_id: [1; 16],
        segment_id: 1,
        salt: 2,
        base_position: 800,
        base_sequence: 50,
        declared_length: 1 << 16,
        previous: crate::format::segment::LogEnd::default(),
    }
}

pub(crate) fn sample() -> (Directory, SegmentSummary) {
    let directory = Directory::default();
    for (source, event_type) in [("cart", "AddItem"), ("", "log"), ("größe", "x")] {
        let series = Series { source: source.to_owned(), event_type: event_type.to_owned() };
        directory.series.push(series);
    }
    let mut summary = SegmentSummary::empty(&header());
    let mut position = summary.end_position;
    for i in 0..40u32 {
        let frame = FrameEntry {
            index: i,
            position,
            stored_length: 100 + i,
            first_sequence: 60 + u64::from(i) * 10,
            events: 10 - i % 3,
            received: Timestamp(1_000_000 - i64::from(i)),
            min_time: Timestamp(if i == 7 { i64::MIN } else { 5 }),
            max_time: Timestamp(if i == 7 { i64::MAX } else { 50 }),
            producer_id: ProducerId([(i % 4) as u8; 16]),
            epoch: i % 2,
            batch_number: if i == 3 { u64::MAX } else { u64::from(i) },
            series: (0..i % 4).collect(),
            traces: TraceFilter::of(&(0..u64::from(i)).collect::<Vec<_>>()),
        };
        position += frame_bytes(frame.stored_length as usize) + u64::from(i % 5) * 128;
        summary.add(&frame);
        summary.end_position = position;
        directory.frames.push(frame);
    }
    (directory, summary)
}

#[test]
fn a_directory_leads_back_to_itself() {
    let (directory, summary) = sample();
    let bytes = encode_directory(&directory, &summary);
    assert_eq!(decode_directory(&bytes, &summary).unwrap(), directory);
    let empty = SegmentSummary::empty(&header());
    let bytes = encode_directory(&Directory::default(), &empty);
    assert_eq!(decode_directory(&bytes, &empty).unwrap(), Directory::default());
}

#[test]
fn cuts_flips_and_lies_never_panic_and_cuts_are_always_noticed() {
    let (directory, summary) = sample();
    let bytes = encode_directory(&directory, &summary);
    for length in 0..bytes.len() {
        assert!(decode_directory(&bytes[..length], &summary).is_err(), "{length} bytes");
    }
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let _ = decode_directory(&flipped, &summary);
    }
    let lies = SegmentSummary { events: summary.events + 1, ..summary };
    assert!(decode_directory(&bytes, &lies).is_err());
}
