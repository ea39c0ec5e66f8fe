//! The text of a query expression.

use std::sync::{Arc, OnceLock};

use annal::query::By;
use annal::{Options, Query, Snapshot, Store, TimeRange};

use crate::{FixedClock, sample_store};

/// A small store to ask.
fn snapshot() -> &'static Snapshot {
    static STORE: OnceLock<(Store, Snapshot)> = OnceLock::new();
    let (_, snapshot) = STORE.get_or_init(|| {
        let options = Options { manual: true, seed: Some(7), ..Options::new("") };
        let clock = Arc::new(FixedClock::default());
        let (store, _) = Store::open_with(Arc::new(sample_store()), clock, options)
            .expect("a killed store opens");
        let snapshot = store.snapshot();
        (store, snapshot)
    });
    snapshot
}

/// Parses the text and, if it says something, asks it.
pub fn query(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let parsed = match Query::new(TimeRange::ALL).filter(text) {
        Ok(query) => query,
        Err(error) => {
            let at = error.offset().unwrap_or(0);
            assert!(at <= data.len() as u64, "the error points behind the text: {error}");
            return;
        }
    };
    let found = snapshot().query(&parsed).map(|answer| answer.events.len() as u64);
    let counted = snapshot().count(&parsed, By::default());
    if let (Ok(found), Ok(counted)) = (found, counted) {
        let counted: u64 = counted.counts.iter().map(|c| c.count).sum();
        assert_eq!(found, counted, "{text}");
    }
}
