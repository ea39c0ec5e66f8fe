//! Which format versions this build writes and reads.

/// The version written by this build.
pub const FORMAT_VERSION: u16 = 1;
/// The oldest version this build reads.
pub const FORMAT_VERSION_OLDEST: u16 = 1;

/// Whether this build reads the version.
#[must_use]
pub fn is_readable(version: u16) -> bool {
    (FORMAT_VERSION_OLDEST..=FORMAT_VERSION).contains(&version)
}
