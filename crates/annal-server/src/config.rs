//! What a server is told: the command line first, then the configuration file, then the defaults.
//!
//! The file is TOML with the names of the options, underscores for dashes; a name that is unknown
//! is an error, so that a misspelt limit does not silently not hold.

use std::path::{Path, PathBuf};

use annal::limits;
use annal::options::{ReadMode, Retention};
use serde::Deserialize;

use crate::exit::{Failure, Outcome};
use crate::json::time::parse_duration;

/// The options of `annal serve`, each of them settable in the file as well.
#[derive(Clone, Debug, Default, clap::Args, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// Directory of the store; made if it is missing.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Address for HTTP; port 0 takes a free one [default: 127.0.0.1:7070]
    #[arg(long, value_name = "ADDR")]
    pub(crate) http: Option<String>,
    /// Address for the native protocol; port 0 takes a free one [default: 127.0.0.1:7071]
    #[arg(long, value_name = "ADDR")]
    pub(crate) tcp: Option<String>,
    /// Delete segments whose newest event is older than this, such as 30d or 36h [default: never]
    #[arg(long, value_name = "AGE")]
    pub(crate) retention_age: Option<String>,
    /// Delete the oldest segments while the store is larger, such as 50GiB [default: never]
    #[arg(long, value_name = "BYTES")]
    pub(crate) retention_bytes: Option<String>,
    /// Size of a full segment, 64KiB to 1GiB [default: 64MiB]
    #[arg(long, value_name = "BYTES")]
    pub(crate) segment_bytes: Option<String>,
    /// Bytes taken in and not yet durable before senders have to wait [default: 128MiB]
    #[arg(long, value_name = "BYTES")]
    pub(crate) in_flight_bytes: Option<String>,
    /// How sealed files are read: map or read [default: map]
    #[arg(long, value_name = "MODE")]
    pub(crate) read_mode: Option<String>,
    /// Whether sealed segments are compacted in the background: true or false [default: true]
    #[arg(long, value_name = "BOOL")]
    pub(crate) compaction: Option<bool>,
    /// Whether sealed files are read in the background, slowly, and held against their digests: true
    /// or false [default: true]
    #[arg(long, value_name = "BOOL")]
    pub(crate) scrub: Option<bool>,
    /// Bytes of sealed log that may wait for compaction before senders have to wait, at least four
    /// full segments [default: 4GiB]
    #[arg(long, value_name = "BYTES")]
    pub(crate) compaction_debt_bytes: Option<String>,
    /// Listen beyond this machine although nothing is encrypted and nobody is asked who they are.
    #[arg(long)]
    #[serde(default)]
    pub(crate) insecure_listen: bool,
}

impl Settings {
    /// What is not set here is taken from the file.
    pub(crate) fn or_from(self, file: Option<&Path>) -> Outcome<Settings> {
        let Some(path) = file else { return Ok(self) };
        let wrong = |what: String| Failure::usage(format!("{}: {what}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|e| wrong(e.to_string()))?;
        let file: Settings = toml::from_str(&text).map_err(|e| wrong(e.to_string()))?;
        Ok(Settings {
            data: self.data.or(file.data),
            http: self.http.or(file.http),
            tcp: self.tcp.or(file.tcp),
            retention_age: self.retention_age.or(file.retention_age),
            retention_bytes: self.retention_bytes.or(file.retention_bytes),
            segment_bytes: self.segment_bytes.or(file.segment_bytes),
            in_flight_bytes: self.in_flight_bytes.or(file.in_flight_bytes),
            read_mode: self.read_mode.or(file.read_mode),
            compaction: self.compaction.or(file.compaction),
            scrub: self.scrub.or(file.scrub),
            compaction_debt_bytes: self.compaction_debt_bytes.or(file.compaction_debt_bytes),
            insecure_listen: self.insecure_listen || file.insecure_listen,
        })
    }

    /// The store's options for the directory.
    pub(crate) fn options(&self) -> Outcome<annal::Options> {
        let directory = self.data.clone().ok_or_else(|| {
            Failure::usage("where is the store? Give --data DIR, or data = \"DIR\" in the file")
        })?;
        let mut options = annal::Options::new(directory);
        if let Some(text) = &self.segment_bytes {
            options.segment_bytes = parse_bytes("segment-bytes", text)?;
            let allowed = limits::SEGMENT_BYTES_MIN..=limits::SEGMENT_BYTES_MAX;
            if !allowed.contains(&options.segment_bytes) {
                return Err(Failure::usage(format!("--segment-bytes {text}: 64KiB to 1GiB")));
            }
        }
        if let Some(text) = &self.in_flight_bytes {
            let bytes = parse_bytes("in-flight-bytes", text)?;
            let at_least = limits::REQUEST_BYTES_MAX as u64;
            if bytes < at_least {
                let what = format!("--in-flight-bytes {text}: at least one request, {at_least}");
                return Err(Failure::usage(what));
            }
            options.in_flight_bytes_max = usize::try_from(bytes).unwrap_or(usize::MAX);
        }
        options.read_mode = match self.read_mode.as_deref() {
            None | Some("map") => ReadMode::Map,
            Some("read") => ReadMode::Read,
            Some(other) => {
                return Err(Failure::usage(format!("--read-mode {other}: map or read")));
            }
        };
        options.compaction = self.compaction.unwrap_or(true);
        options.scrub = self.scrub.unwrap_or(true);
        if let Some(text) = &self.compaction_debt_bytes {
            options.compaction_debt_bytes_max = parse_bytes("compaction-debt-bytes", text)?;
            let least = options.compaction_debt_bytes_min();
            if options.compaction_debt_bytes_max < least {
                let what =
                    format!("--compaction-debt-bytes {text}: four segments, {least}, at least");
                return Err(Failure::usage(what));
            }
        }
        options.retention = self.retention()?;
        Ok(options)
    }

    fn retention(&self) -> Outcome<Retention> {
        let age = self.retention_age.as_deref().map(|text| {
            parse_duration(text)
                .map(|ns| ns / 1_000_000_000)
                .and_then(|s| u64::try_from(s).ok())
                .filter(|&s| s > 0)
                .ok_or_else(|| Failure::usage(format!("--retention-age {text}: such as 30d, 36h")))
        });
        let bytes = self.retention_bytes.as_deref().map(|t| parse_bytes("retention-bytes", t));
        Ok(Retention { age_s_max: age.transpose()?, store_bytes_max: bytes.transpose()? })
    }
}

/// Reads `65536`, `64KiB`, `1.5GiB`, `20GB`.
fn parse_bytes(option: &str, text: &str) -> Outcome<u64> {
    const UNITS: [(&str, u64); 9] = [
        ("", 1),
        ("B", 1),
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("TiB", 1 << 40),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("TB", 1_000_000_000_000),
    ];
    let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let scale = UNITS.iter().find(|(name, _)| *name == unit.trim()).map(|(_, scale)| *scale);
    let bytes = match (number.parse::<u64>(), number.parse::<f64>(), scale) {
        (Ok(n), _, Some(scale)) => n.checked_mul(scale),
        (_, Ok(n), Some(scale)) => Some((n * scale as f64) as u64),
        _ => None,
    };
    bytes.ok_or_else(|| {
        Failure::usage(format!(
            "--{option} {text}: write a number of bytes, such as 64MiB or 50GiB"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_wins_over_the_file_and_the_file_over_defaults() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("annal.toml");
        std::fs::write(
            &path,
            "data = \"/a\"\nhttp = \"127.0.0.1:1\"\nretention_age = \"2d\"\n\
                    compaction = false\nscrub = false\n",
        )
        .unwrap();
        let given = Settings { http: Some("127.0.0.1:2".into()), ..Settings::default() };
        let settings = given.or_from(Some(&path)).unwrap();
        assert_eq!(settings.http.as_deref(), Some("127.0.0.1:2"));
        let options = settings.options().unwrap();
        assert_eq!(options.directory, Path::new("/a"));
        assert_eq!(options.retention.age_s_max, Some(172_800));
        assert!(!options.compaction && !options.scrub);
        assert_eq!(options.segment_bytes, limits::SEGMENT_BYTES_DEFAULT);
    }

    #[test]
    fn an_unknown_name_in_the_file_is_an_error_that_names_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("annal.toml");
        std::fs::write(&path, "retention_bites = \"1GiB\"\n").unwrap();
        let failure = Settings::default().or_from(Some(&path)).unwrap_err();
        assert_eq!(failure.code, crate::exit::USAGE);
        assert!(failure.message.contains("retention_bites"), "{}", failure.message);
    }

    #[test]
    fn sizes_are_read_with_their_units() {
        for (text, bytes) in [("1", 1), ("64KiB", 65_536), ("1.5GiB", 3 << 29), ("2 MB", 2_000_000)]
        {
            assert_eq!(parse_bytes("x", text).unwrap(), bytes, "{text}");
        }
        for text in ["", "GiB", "1XB", "-1", "99999999999999TiB"] {
            assert!(parse_bytes("x", text).is_err(), "{text}");
        }
    }

    #[test]
    fn less_debt_than_four_segments_is_refused() {
        let settings = |debt: &str| Settings {
            data: Some("x".into()),
            segment_bytes: Some("1MiB".into()),
            compaction_debt_bytes: Some(debt.into()),
            ..Settings::default()
        };
        assert_eq!(settings("4MiB").options().unwrap().compaction_debt_bytes_max, 4 << 20);
        assert_eq!(settings("3MiB").options().unwrap_err().code, crate::exit::USAGE);
    }

    #[test]
    fn a_segment_size_outside_its_limits_is_refused() {
        let settings = Settings {
            data: Some("x".into()),
            segment_bytes: Some("2GiB".into()),
            ..Settings::default()
        };
        assert_eq!(settings.options().unwrap_err().code, crate::exit::USAGE);
    }
}
