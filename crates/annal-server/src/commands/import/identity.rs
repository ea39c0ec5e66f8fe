//! A file's identity, for `--resume`: XXH3-128 over everything that decides which batches come out
//! of it, which is its bytes, its format, and the rules by which this version cuts it.
//!
//! The whole file is hashed and not only its ends: two files that were taken for the same one would
//! lose the second's events without a word.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use annal::ProducerId;
use xxhash_rust::xxh3::Xxh3;

use super::split::Format;

/// Changes whenever the same file would be cut or decoded into other batches.
const RULES: u8 = 2;

/// The producer id of a file's import.
pub(super) fn of(path: &Path, format: Format) -> io::Result<ProducerId> {
    let mut file = File::open(path)?;
    let mut hash = Xxh3::new();
    hash.update(&[RULES, format as u8]);
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(ProducerId(hash.digest128().to_be_bytes())),
            read => hash.update(buffer.get(..read).unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_follows_from_bytes_and_format_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        for (name, text) in [("a", "same"), ("b", "same"), ("c", "sane")] {
            std::fs::write(path(name), text).unwrap();
        }
        let id = |name: &str, format| of(&path(name), format).unwrap();
        assert_eq!(id("a", Format::Ndjson), id("b", Format::Ndjson));
        assert_ne!(id("a", Format::Ndjson), id("c", Format::Ndjson));
        assert_ne!(id("a", Format::Ndjson), id("a", Format::OtlpProto));
    }
}
