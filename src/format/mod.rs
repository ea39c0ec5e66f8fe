//! The formats on disk: versions, frame headers, segment headers, footers, manifests.
//!
//! Pure functions between bytes and values; the normative text is `storage-format.md`, and a test
//! holds its tables and examples against this code. Decoders report kind `Invalid` with an offset;
//! whoever read the bytes from a file turns that into `Corrupt` and names the file.

pub mod footer;
pub mod frame;
pub mod manifest;
pub mod producers;
pub mod segment;
pub mod version;

/// Reads `<prefix><16 lower-case hex digits><suffix>` and nothing else.
fn parse_numbered(name: &str, prefix: &str, suffix: &str) -> Option<u64> {
    let digits = name.strip_prefix(prefix)?.strip_suffix(suffix)?;
    let well_formed =
        digits.len() == 16 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    well_formed.then(|| u64::from_str_radix(digits, 16).ok())?
}
