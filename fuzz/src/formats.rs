//! Headers, footers, manifests, checkpoints, and the messages of a connection.

use annal::codec::crc32;
use annal::format::footer::{TRAILER_BYTES, Trailer, decode_footer, encode_footer};
use annal::format::frame::{FRAME_HEADER_BYTES, FrameHeader};
use annal::format::manifest::Manifest;
use annal::format::producers::{decode_producers, encode_producers};
use annal::format::segment::{SEGMENT_HEADER_BYTES, SegmentHeader};
use annal::net::envelope::{self, HEAD_BYTES, Parsed};
use annal::net::message::{Message, split_frame};
use bytes::Bytes;

/// The bytes with their last four replaced by the checksum of those before.
pub(crate) fn with_crc(bytes: &[u8]) -> Vec<u8> {
    let mut fixed = bytes.to_vec();
    if let Some(covered) = bytes.len().checked_sub(4) {
        let crc = crc32(&fixed[..covered]);
        fixed[covered..].copy_from_slice(&crc.to_le_bytes());
    }
    fixed
}

/// A frame header; and, if there are enough bytes, a segment header.
pub fn frame(data: &[u8]) {
    let Some(head) = data.first_chunk::<FRAME_HEADER_BYTES>() else { return };
    let _ = FrameHeader::decode(head);
    let fixed = with_crc(head);
    let fixed = fixed.first_chunk().expect("as long as before");
    if let Ok(header) = FrameHeader::decode(fixed) {
        assert_eq!(&header.encode(), fixed);
    }
    if let Some(head) = data.first_chunk::<SEGMENT_HEADER_BYTES>() {
        let fixed = with_crc(head);
        if let Ok(header) = SegmentHeader::decode(&fixed) {
            assert_eq!(header.encode(), fixed);
        }
    }
}

/// A trailer, then the footer that it describes.
pub fn footer(data: &[u8]) {
    let Some((trailer, footer)) = data.split_first_chunk::<TRAILER_BYTES>() else { return };
    let _ = Trailer::decode(trailer);
    let fixed = with_crc(trailer);
    let Ok(mut trailer) = Trailer::decode(fixed.first_chunk().expect("as long as before")) else {
        return;
    };
    assert_eq!(trailer.encode().as_slice(), fixed);
    trailer.footer_length = footer.len() as u32;
    trailer.footer_crc = crc32(footer);
    if let Ok(sections) = decode_footer(&trailer, footer) {
        assert_eq!(encode_footer(&sections), footer);
    }
}

/// A manifest.
pub fn manifest(data: &[u8]) {
    let _ = Manifest::decode(data);
    if let Ok(manifest) = Manifest::decode(&with_crc(data)) {
        let again = Manifest::decode(&manifest.encode()).expect("what was encoded decodes");
        assert_eq!(again, manifest);
    }
}

/// A producer checkpoint.
pub fn producers(data: &[u8]) {
    let _ = decode_producers(data);
    let fixed = with_crc(data);
    if let Ok((store_id, covers, records)) = decode_producers(&fixed) {
        assert_eq!(encode_producers(store_id, covers, &records), fixed);
    }
}

/// A connection's bytes: messages one after another, as they come and with checksums put right.
pub fn session(data: &[u8]) {
    for put_right in [false, true] {
        let mut stream = data.to_vec();
        let mut at = 0;
        while let Some(rest) = stream.get_mut(at..).filter(|r| !r.is_empty()) {
            if put_right {
                put_message_right(rest);
            }
            let Ok(Parsed::Message(head, body)) = envelope::parse(rest) else { break };
            message(head, &Bytes::copy_from_slice(body));
            at += head.message_bytes();
        }
    }
}

/// Gives the message at the beginning, if it is whole, the checksum that it should have.
fn put_message_right(bytes: &mut [u8]) {
    let Some(length) = bytes.first_chunk().map(|b| u32::from_le_bytes(*b) as usize) else { return };
    let Some(end) = HEAD_BYTES.checked_add(length).filter(|end| *end <= bytes.len()) else {
        return;
    };
    let covered = [&bytes[..HEAD_BYTES - 4], &bytes[HEAD_BYTES..end]].concat();
    bytes[HEAD_BYTES - 4..HEAD_BYTES].copy_from_slice(&crc32(&covered).to_le_bytes());
}

fn message(head: envelope::Head, body: &Bytes) {
    let Some(kind) = head.known_kind() else { return };
    let Ok(message) = Message::decode(kind, body) else { return };
    if let Message::Append(frame) = &message {
        let _ = split_frame(frame);
    }
    let mut again = Vec::new();
    message.encode(head.request, &mut again);
    let Ok(Parsed::Message(_, body)) = envelope::parse(&again) else {
        panic!("what was encoded does not parse: {message:?}")
    };
    let again = Message::decode(kind, &Bytes::copy_from_slice(body));
    assert_eq!(again.expect("what was encoded decodes"), message);
}
