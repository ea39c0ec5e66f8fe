//! Counts the bytes that views hold, so that whoever keeps them knows when it is too many.
//!
//! A view grows when a chunk of it is first asked for, long after it was put somewhere: it tells its
//! meter then, and again when it goes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::column::spare::Spare;

/// Bytes held by all views that were told of it.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    bytes: AtomicUsize,
    /// What the views that went leave to those that come.
    spare: Spare,
}

impl Meter {
    /// Their sum.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// What one holder has put on a meter; taken off again when it goes.
#[derive(Debug, Default)]
pub(super) struct Metered {
    meter: Option<Arc<Meter>>,
    bytes: AtomicUsize,
}

impl Metered {
    pub(super) fn new(meter: Arc<Meter>, bytes: usize) -> Metered {
        let metered = Metered { meter: Some(meter), bytes: AtomicUsize::new(0) };
        metered.add(bytes);
        metered
    }

    /// An empty buffer for so many bytes.
    pub(super) fn buffer(&self, bytes: usize) -> Vec<u8> {
        match &self.meter {
            Some(meter) => meter.spare.take(bytes),
            None => Vec::with_capacity(bytes),
        }
    }

    /// Takes a buffer back that is not needed any more.
    pub(super) fn give(&self, buffer: Vec<u8>) {
        if let Some(meter) = &self.meter {
            meter.spare.give(buffer);
        }
    }

    pub(super) fn add(&self, bytes: usize) {
        if let Some(meter) = &self.meter {
            self.bytes.fetch_add(bytes, Ordering::Relaxed);
            meter.bytes.fetch_add(bytes, Ordering::Relaxed);
        }
    }
}

impl Drop for Metered {
    fn drop(&mut self) {
        if let Some(meter) = &self.meter {
            meter.bytes.fetch_sub(*self.bytes.get_mut(), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_meter_shows_what_is_held_and_nothing_of_what_went() {
        let meter = Arc::new(Meter::default());
        let first = Metered::new(meter.clone(), 10);
        let second = Metered::new(meter.clone(), 5);
        second.add(7);
        assert_eq!(meter.bytes(), 22);
        drop(second);
        assert_eq!(meter.bytes(), 10);
        drop(first);
        Metered::default().add(3);
        assert_eq!(meter.bytes(), 0);
    }
}
