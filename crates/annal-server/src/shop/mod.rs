//! A believable web shop of a dozen services, made up: requests through the frontend into cart,
//! checkout, payment and the others, with errors, retries, logs, and messages that are handled
//! later in traces of their own, linked to where they came from.
//!
//! Everything follows from the seed and the start: the same two give the same events, byte for
//! byte.
//!
//! 1. `rhythm` says when the next request comes: nights are quiet, evenings busy.
//! 2. `requests` plays one request: which services it passes, how long each takes, what fails.
//! 3. `story` writes down what happens as spans and logs.
//!
//! Twice a day something goes wrong for a while (`rhythm::Incident`), so that there is something to
//! find.

mod random;
mod requests;
mod rhythm;
mod services;
mod story;

pub(crate) mod otlp;

use annal::{Event, Timestamp};

pub(crate) use self::random::Random;
use self::rhythm::Rhythm;
use self::services::Services;

/// Events of one request on average, measured over the seeds 0 to 9.
pub(crate) const EVENTS_PER_REQUEST: f64 = 13.8;

/// The running shop.
#[derive(Debug)]
pub(crate) struct Shop {
    random: Random,
    services: Services,
    rhythm: Rhythm,
    messages: u64,
}

impl Shop {
    /// A shop that opens at `start` and sees about this many requests a day.
    pub(crate) fn new(seed: u64, start: Timestamp, requests_per_day: f64) -> Shop {
        let mut random = Random::new(seed);
        let services = Services::new(&mut random);
        let rhythm = Rhythm::new(&mut random, start, requests_per_day);
        Shop { random, services, rhythm, messages: 0 }
    }

    /// The next request: its spans and logs by time, then those of the messages it sent.
    pub(crate) fn next_request(&mut self) -> Vec<Event> {
        let at = self.rhythm.next(&mut self.random);
        self.request_at(at)
    }

    /// A request that begins at this instant.
    pub(crate) fn request_at(&mut self, at: Timestamp) -> Vec<Event> {
        let incident = self.rhythm.incident(at);
        requests::play(&mut self.random, &self.services, incident, &mut self.messages, at)
    }
}

#[cfg(test)]
mod tests;
