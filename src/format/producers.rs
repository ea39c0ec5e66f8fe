//! The producer checkpoint: who has sent what, so that a retry is stored once.
//!
//! The manifest names it together with the position that it covers; what came after that position
//! is read from frame directories and headers. See `storage-format.md`, "Producer checkpoint".

use crate::codec::{Cursor, crc32};
use crate::error::{Error, Result};
use crate::event::ProducerId;
use crate::format::version::{FORMAT_VERSION, is_readable};
use crate::limits;
use crate::time::Timestamp;

/// First bytes of each producer checkpoint.
pub const PRODUCERS_MAGIC: [u8; 8] = *b"ANLprod\n";

/// Bytes of the head, of a record and of a remembered batch.
const HEAD_BYTES: usize = 40;
const RECORD_BYTES: usize = 40;
const PAIR_BYTES: usize = 16;
/// No checkpoint has more bytes.
pub const PRODUCERS_BYTES_MAX: usize = HEAD_BYTES
    + limits::PRODUCERS_MAX * (RECORD_BYTES + limits::PRODUCER_BATCHES_MAX * PAIR_BYTES)
    + 4;

/// What is remembered of one producer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerRecord {
    /// Who.
    pub id: ProducerId,
    /// Its newest epoch.
    pub epoch: u32,
    /// When its last batch was received.
    pub last_seen: Timestamp,
    /// The number that must come next.
    pub next_number: u64,
    /// (number, first sequence) of its last batches, ascending.
    pub recent: Vec<(u64, u64)>,
}

/// The bytes of the file.
#[must_use]
pub fn encode_producers(store_id: [u8; 16], covers: u64, records: &[ProducerRecord]) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend_from_slice(&PRODUCERS_MAGIC);
    out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    out.extend_from_slice(&[0; 2]);
    out.extend_from_slice(&u32::try_from(records.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(&store_id);
    out.extend_from_slice(&covers.to_le_bytes());
    for record in records {
        out.extend_from_slice(&record.id.0);
        out.extend_from_slice(&record.epoch.to_le_bytes());
        let pairs = u32::try_from(record.recent.len()).unwrap_or(u32::MAX);
        out.extend_from_slice(&pairs.to_le_bytes());
        out.extend_from_slice(&record.last_seen.0.to_le_bytes());
        out.extend_from_slice(&record.next_number.to_le_bytes());
        for (number, first_sequence) in &record.recent {
            out.extend_from_slice(&number.to_le_bytes());
            out.extend_from_slice(&first_sequence.to_le_bytes());
        }
    }
    out.extend_from_slice(&crc32(&out).to_le_bytes());
    out
}

/// Store id, covered position and records of a checkpoint.
pub fn decode_producers(bytes: &[u8]) -> Result<([u8; 16], u64, Vec<ProducerRecord>)> {
    let mut c = Cursor::new(bytes);
    if c.array()? != PRODUCERS_MAGIC {
        return Err(Error::invalid("no producer checkpoint: wrong magic").at(0));
    }
    let version = c.u16()?;
    if !is_readable(version) {
        let what = format!("producer checkpoint of format version {version}; this build reads 1");
        return Err(Error::unsupported(what).at(8));
    }
    let (covered, checksum) = bytes.split_at(bytes.len() - 4);
    if crc32(covered).to_le_bytes() != checksum {
        return Err(Error::invalid("the producer checkpoint's checksum is wrong").at(0));
    }
    let reserved = c.u16()?;
    let count = c.u32()? as usize;
    if reserved != 0 || count > limits::PRODUCERS_MAX {
        return Err(Error::invalid("the producer checkpoint's head is malformed").at(10));
    }
    let (store_id, covers) = (c.array()?, c.u64()?);
    let mut records = Vec::new();
    for _ in 0..count {
        let (id, epoch, pairs) = (ProducerId(c.array()?), c.u32()?, c.u32()? as usize);
        if pairs > limits::PRODUCER_BATCHES_MAX {
            return Err(c.error(format!("{pairs} remembered batches of one producer")));
        }
        let (last_seen, next_number) = (Timestamp(c.i64()?), c.u64()?);
        let recent = (0..pairs).map(|_| Ok((c.u64()?, c.u64()?))).collect::<Result<_>>()?;
        records.push(ProducerRecord { id, epoch, last_seen, next_number, recent });
    }
    if c.remaining() != 4 {
        return Err(c.error("bytes are left over"));
    }
    Ok((store_id, covers, records))
}

/// Name of a producer checkpoint's file.
#[must_use]
pub fn producers_file_name(number: u64) -> String {
    format!("producers-{number:016x}")
}

/// The number in a producer checkpoint's file name.
#[must_use]
pub fn parse_producers_file_name(name: &str) -> Option<u64> {
    crate::format::parse_numbered(name, "producers-", "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_leads_back_and_notices_each_flipped_bit_and_cut() {
        let record = ProducerRecord {
            id: ProducerId([1; 16]),
            epoch: 2,
            last_seen: Timestamp(3),
            next_number: 4,
            recent: vec![(2, 20), (3, 30)],
        };
        let bytes = encode_producers([5; 16], 6, std::slice::from_ref(&record));
        assert_eq!(decode_producers(&bytes).unwrap(), ([5; 16], 6, vec![record]));
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(decode_producers(&flipped).is_err(), "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert!(decode_producers(&bytes[..length]).is_err(), "{length} bytes");
        }
    }
}
