//! The manifest: a numbered, complete list of the store's files (MAN-1).
//!
//! Each is written whole (tmp, sync, rename without replacing, sync of the directory) and read
//! whole. It is a header, records, and a checksum over all; a record has a kind and says whether a
//! reader may skip it: an unknown optional one is kept, an unknown required one refuses the store.
//! See `storage-format.md`, "Manifest".

use crate::codec::{Cursor, crc32};
use crate::error::{Error, Result};
use crate::format::segment::{LogEnd, NUMBER_MAX, compacted_file_name, log_file_name};
use crate::format::version::{FORMAT_VERSION, is_readable};
use crate::limits;
use crate::time::Timestamp;

/// First bytes of each manifest.
pub const MANIFEST_MAGIC: [u8; 8] = *b"ANLmani\n";
/// Record kinds. Those of tombstones and tenant settings are reserved.
pub const RECORD_LOG_END: u16 = 1;
/// A file of events.
pub const RECORD_SEGMENT: u16 = 2;
/// The producer checkpoint.
pub const RECORD_PRODUCERS: u16 = 3;
/// Reserved: a predicate of deleted events.
pub const RECORD_TOMBSTONE: u16 = 4;
/// Reserved: settings of a tenant.
pub const RECORD_TENANT: u16 = 5;
/// The last level of compaction.
pub const LEVEL_MAX: u8 = 2;

/// A sealed or compacted file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentRecord {
    /// Its id: of a compacted one that of the first log segment that it stands for.
    pub segment_id: u64,
    /// The last of the log segments that it stands for; of a log segment its own id.
    pub last_segment_id: u64,
    /// 0: a log segment; 1 and 2: levels of compaction.
    pub level: u8,
    /// Its salt.
    pub salt: u64,
    /// Length of the file.
    pub file_length: u64,
    /// XXH3-128 of the file, big-endian; checked by verify and scrub, never at open.
    pub digest: [u8; 16],
    /// Position in the log of the first byte that it holds, or stands for.
    pub base_position: u64,
    /// Position in the log behind the last frame that it holds, or stands for.
    pub end_position: u64,
    /// Least sequence (or the base sequence, without events).
    pub first_sequence: u64,
    /// Greatest sequence + 1.
    pub next_sequence: u64,
    /// Number of events.
    pub events: u64,
    /// Least time; 0 without events.
    pub min_time: Timestamp,
    /// Greatest time; 0 without events.
    pub max_time: Timestamp,
}

/// The file with the producer table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducersRecord {
    /// Its number, in its name.
    pub number: u64,
    /// Length of the file.
    pub file_length: u64,
    /// XXH3-128 of the file, big-endian.
    pub digest: [u8; 16],
    /// All frames before this position are covered.
    pub covers_position: u64,
}

/// A record of a kind that this build does not know and may skip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownRecord {
    /// Its kind.
    pub kind: u16,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Everything that is in the store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// The store.
    pub store_id: [u8; 16],
    /// Its number, from 1.
    pub number: u64,
    /// End of the last log segment that a manifest named; kept after that segment is gone.
    pub log_end: LogEnd,
    /// No event below this is given a sequence again.
    pub next_sequence: u64,
    /// The files, in order of id.
    pub segments: Vec<SegmentRecord>,
    /// The producer table, once there is one.
    pub producers: Option<ProducersRecord>,
    /// Optional records of later versions, written back unchanged.
    pub unknown: Vec<UnknownRecord>,
}

impl Manifest {
    /// The bytes of the file.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&MANIFEST_MAGIC);
        out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        out.extend_from_slice(&[0; 6]);
        out.extend_from_slice(&self.store_id);
        out.extend_from_slice(&self.number.to_le_bytes());
        let mut body = Vec::new();
        body.extend_from_slice(&self.log_end.segment_id.to_le_bytes());
        body.extend_from_slice(&self.log_end.salt.to_le_bytes());
        body.extend_from_slice(&self.log_end.end_position.to_le_bytes());
        body.extend_from_slice(&self.next_sequence.to_le_bytes());
        put_record(&mut out, RECORD_LOG_END, true, &body);
        for segment in &self.segments {
            put_record(&mut out, RECORD_SEGMENT, true, &segment.encode());
        }
        if let Some(p) = &self.producers {
            body.clear();
            body.extend_from_slice(&p.number.to_le_bytes());
            body.extend_from_slice(&p.file_length.to_le_bytes());
            body.extend_from_slice(&p.digest);
            body.extend_from_slice(&p.covers_position.to_le_bytes());
            put_record(&mut out, RECORD_PRODUCERS, true, &body);
        }
        for record in &self.unknown {
            put_record(&mut out, record.kind, false, &record.bytes);
        }
        out.extend_from_slice(&crc32(&out).to_le_bytes());
        out
    }

    /// Reads and checks a manifest.
    pub fn decode(bytes: &[u8]) -> Result<Manifest> {
        if bytes.len() > limits::MANIFEST_BYTES_MAX {
            let what = format!("a manifest of more than {} bytes", limits::MANIFEST_BYTES_MAX);
            return Err(Error::limit(what));
        }
        let mut c = Cursor::new(bytes);
        if c.array()? != MANIFEST_MAGIC {
            return Err(Error::invalid("no manifest: wrong magic").at(0));
        }
        let version = c.u16()?;
        if !is_readable(version) {
            let what = format!("manifest of format version {version}; this build reads 1");
            return Err(Error::unsupported(what).at(8));
        }
        let (covered, checksum) = bytes.split_at(bytes.len() - 4);
        if crc32(covered).to_le_bytes() != checksum {
            return Err(Error::invalid("the manifest's checksum is wrong").at(0));
        }
        if c.array()? != [0u8; 6] {
            return Err(Error::invalid("reserved bytes are not zero").at(10));
        }
        let mut manifest =
            Manifest { store_id: c.array()?, number: c.u64()?, ..Manifest::default() };
        let mut log_ends = 0;
        while c.remaining() > 4 {
            let at = c.offset() as u64;
            let (kind, required, reserved) = (c.u16()?, c.u8()?, c.u8()?);
            let length = c.u32()? as usize;
            let mut body = Cursor::new(c.take(length)?);
            if required > 1 || reserved != 0 {
                return Err(Error::invalid("a record's head is malformed").at(at));
            }
            match kind {
                RECORD_LOG_END => {
                    log_ends += 1;
                    manifest.log_end.segment_id = body.u64()?;
                    manifest.log_end.salt = body.u64()?;
                    manifest.log_end.end_position = body.u64()?;
                    manifest.next_sequence = body.u64()?;
                }
                RECORD_SEGMENT => manifest.segments.push(SegmentRecord::decode(&mut body)?),
                RECORD_PRODUCERS if manifest.producers.is_none() => {
                    manifest.producers = Some(ProducersRecord {
                        number: body.u64()?,
                        file_length: body.u64()?,
                        digest: body.array()?,
                        covers_position: body.u64()?,
                    });
                }
                _ if required == 1 => {
                    let what = format!("a required record of kind {kind}; use a newer annal");
                    return Err(Error::unsupported(what).at(at));
                }
                _ => {
                    let bytes = body.take(length)?.to_vec();
                    manifest.unknown.push(UnknownRecord { kind, bytes });
                }
            }
            body.finish()?;
        }
        if c.remaining() != 4 {
            return Err(c.error("the last record runs into the checksum"));
        }
        if log_ends != 1 {
            return Err(Error::invalid(format!("{log_ends} records of the log's end, not 1")));
        }
        manifest.check_numbers()?;
        if !manifest.segments.is_sorted_by(|a, b| a.last_segment_id < b.segment_id) {
            return Err(Error::invalid("the segments are not in order of their ids"));
        }
        Ok(manifest)
    }
}

impl Manifest {
    /// Whatever is counted on from here stays below the limit that frames and segments keep too.
    fn check_numbers(&self) -> Result<()> {
        let end = &self.log_end;
        let own = [self.number, end.segment_id, end.end_position, self.next_sequence];
        let segments = self.segments.iter().flat_map(|s| {
            let positions = [s.last_segment_id, s.file_length, s.base_position, s.end_position];
            positions.into_iter().chain([s.first_sequence, s.next_sequence, s.events])
        });
        let producers =
            self.producers.iter().flat_map(|p| [p.number, p.file_length, p.covers_position]);
        if own.into_iter().chain(segments).chain(producers).any(|n| n >= NUMBER_MAX) {
            return Err(Error::invalid("a number, position, sequence or length is too large"));
        }
        Ok(())
    }
}

impl SegmentRecord {
    /// The name of its file.
    #[must_use]
    pub fn file_name(&self) -> String {
        match self.level {
            0 => log_file_name(self.segment_id),
            level => compacted_file_name(self.segment_id, self.last_segment_id, level),
        }
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(120);
        out.extend_from_slice(&self.segment_id.to_le_bytes());
        out.extend_from_slice(&self.last_segment_id.to_le_bytes());
        out.push(self.level);
        out.extend_from_slice(&[0; 7]);
        out.extend_from_slice(&self.salt.to_le_bytes());
        out.extend_from_slice(&self.file_length.to_le_bytes());
        out.extend_from_slice(&self.digest);
        out.extend_from_slice(&self.base_position.to_le_bytes());
        out.extend_from_slice(&self.end_position.to_le_bytes());
        out.extend_from_slice(&self.first_sequence.to_le_bytes());
        out.extend_from_slice(&self.next_sequence.to_le_bytes());
        out.extend_from_slice(&self.events.to_le_bytes());
        out.extend_from_slice(&self.min_time.0.to_le_bytes());
        out.extend_from_slice(&self.max_time.0.to_le_bytes());
        out
    }

    fn decode(c: &mut Cursor<'_>) -> Result<SegmentRecord> {
        let (segment_id, last_segment_id) = (c.u64()?, c.u64()?);
        let level = c.u8()?;
        if c.array()? != [0u8; 7] {
            return Err(c.error("reserved bytes are not zero"));
        }
        let own = last_segment_id == segment_id;
        if last_segment_id < segment_id || level == 0 && !own || level > LEVEL_MAX {
            return Err(c.error("a segment of no such level, or that ends before it begins"));
        }
        Ok(SegmentRecord {
            segment_id,
            last_segment_id,
            level,
            salt: c.u64()?,
            file_length: c.u64()?,
            digest: c.array()?,
            base_position: c.u64()?,
            end_position: c.u64()?,
            first_sequence: c.u64()?,
            next_sequence: c.u64()?,
            events: c.u64()?,
            min_time: Timestamp(c.i64()?),
            max_time: Timestamp(c.i64()?),
        })
    }
}

fn put_record(out: &mut Vec<u8>, kind: u16, required: bool, body: &[u8]) {
    out.extend_from_slice(&kind.to_le_bytes());
    out.push(u8::from(required));
    out.push(0);
    // Bodies are at most as long as the manifest, which is bounded.
    out.extend_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(body);
}

/// Name of a manifest's file.
#[must_use]
pub fn manifest_file_name(number: u64) -> String {
    format!("manifest-{number:016x}")
}

/// The number in a manifest's file name.
#[must_use]
pub fn parse_manifest_file_name(name: &str) -> Option<u64> {
    crate::format::parse_numbered(name, "manifest-", "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    fn sample() -> Manifest {
        let segment = SegmentRecord {
            segment_id: 1,
            last_segment_id: 1,
            level: 0,
            salt: 2,
            file_length: 3,
            digest: [4; 16],
            base_position: 5,
            end_position: 6,
            first_sequence: 7,
            next_sequence: 8,
            events: 1,
            min_time: Timestamp(-1),
            max_time: Timestamp(9),
        };
        Manifest {
            store_id: [9; 16],
            number: 10,
            log_end: LogEnd { segment_id: 2, salt: 11, end_position: 12 },
            next_sequence: 13,
            segments: vec![
                segment,
                SegmentRecord { segment_id: 2, last_segment_id: 3, level: 1, ..segment },
            ],
            producers: Some(ProducersRecord {
                number: 1,
                file_length: 2,
                digest: [3; 16],
                covers_position: 4,
            }),
            unknown: vec![UnknownRecord { kind: 999, bytes: vec![1, 2, 3] }],
        }
    }

    #[test]
    fn a_manifest_leads_back_and_notices_each_flipped_bit_and_cut() {
        let bytes = sample().encode();
        assert_eq!(Manifest::decode(&bytes).unwrap(), sample());
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Manifest::decode(&flipped).is_err(), "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert!(Manifest::decode(&bytes[..length]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn an_unknown_required_record_refuses_the_store() {
        let mut bytes = sample().encode();
        bytes.truncate(bytes.len() - 4);
        put_record(&mut bytes, RECORD_TOMBSTONE, true, &[]);
        let crc = crc32(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        let error = Manifest::decode(&bytes).unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::Unsupported);
    }

    #[test]
    fn a_number_that_could_not_be_counted_on_from_is_refused() {
        let refuses = |change: fn(&mut Manifest)| {
            let mut manifest = sample();
            change(&mut manifest);
            Manifest::decode(&manifest.encode()).is_err_and(|e| e.kind() == ErrorKind::Invalid)
        };
        assert!(!refuses(|m| m.number = NUMBER_MAX - 1));
        assert!(refuses(|m| m.number = NUMBER_MAX));
        assert!(refuses(|m| m.number = u64::MAX));
        assert!(refuses(|m| m.log_end.segment_id = u64::MAX));
        assert!(refuses(|m| m.log_end.end_position = NUMBER_MAX));
        assert!(refuses(|m| m.next_sequence = NUMBER_MAX));
        assert!(refuses(|m| m.segments[1].file_length = u64::MAX));
        assert!(refuses(|m| m.segments[1].end_position = u64::MAX));
        let producers: [fn(&mut ProducersRecord); 3] = [
            |p| p.number = u64::MAX,
            |p| p.file_length = NUMBER_MAX,
            |p| p.covers_position = NUMBER_MAX,
        ];
        for change in producers {
            let mut manifest = sample();
            change(manifest.producers.as_mut().unwrap());
            assert!(Manifest::decode(&manifest.encode()).is_err());
        }
    }
}
