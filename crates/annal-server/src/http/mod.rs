//! The HTTP gateway: routes, limits, errors and metrics. Parsing and answering only; what is
//! stored and asked goes through [`annal::ingest::Ingest`].
//!
//! 1. `connection` accepts, with a cap and time-outs, and ends in good order.
//! 2. `routes` finds the handler; `/health`, `/ready` and `/metrics` answer before the store is open.
//! 3. What comes in (`otlp`, `ndjson`) is admitted before its body is read (`body`), decoded, and
//!    acknowledged when it is durable (COM-1).
//! 4. What is asked (`answers`) is read from the URL (`params`) and runs on a query thread; a client
//!    that goes away cancels it. `red` asks for series, `jaeger` in Jaeger's words. What clients have
//!    not read yet is bounded (`unsent`), and who does not read is cut off (`patient`).

mod answers;
mod body;
mod connection;
mod errors;
mod jaeger;
mod metrics;
mod ndjson;
mod otlp;
mod params;
mod patient;
mod red;
mod routes;
mod unsent;
mod work;

pub use connection::serve;

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use annal::ingest::{Gauge, Ingest, Slots};
use annal::query::Catalog;
use annal::{BatchBuilder, Error, Result, limits};
use tokio::sync::Semaphore;

use metrics::HttpCounters;
use unsent::Unsent;

/// Builders that are kept for the next request; more may be in use.
const BUILDERS_KEPT_MAX: usize = 4;

/// How the gateway treats its clients.
#[derive(Clone, Debug)]
pub struct HttpOptions {
    /// A permit for each connection at a time. Listeners that share descriptors share it.
    pub connections: Arc<Semaphore>,
    /// For a client to take some more of its answer.
    pub write_timeout: Duration,
    /// Bytes of answers that clients have not read yet.
    pub unsent_bytes_max: usize,
}

impl Default for HttpOptions {
    fn default() -> HttpOptions {
        HttpOptions {
            connections: Arc::new(Semaphore::new(limits::CONNECTIONS_MAX)),
            write_timeout: Duration::from_secs(limits::HTTP_WRITE_S_MAX),
            unsent_bytes_max: limits::ANSWERS_UNSENT_BYTES_MAX,
        }
    }
}

/// What the handlers share. It exists before the store is open: `/health` answers at once, all
/// else is 503 until [`App::set_ready`].
#[derive(Clone)]
pub struct App {
    shared: Arc<Shared>,
}

struct Shared {
    ingest: OnceLock<Ingest>,
    builders: Mutex<Vec<BatchBuilder>>,
    /// Large or compressed bodies that are decoded at a time, away from the network threads.
    decoding: Slots,
    /// Held by the one request that reads on, also while it does so on a query thread.
    catalog: Arc<tokio::sync::Mutex<Catalog>>,
    connections: Gauge,
    unsent: Unsent,
    options: HttpOptions,
    counters: HttpCounters,
}

impl Default for App {
    fn default() -> App {
        App::new()
    }
}

impl App {
    /// With the defaults, and without a store yet.
    #[must_use]
    pub fn new() -> App {
        App::with(HttpOptions::default())
    }

    /// Without a store yet.
    #[must_use]
    pub fn with(options: HttpOptions) -> App {
        let shared = Shared {
            ingest: OnceLock::new(),
            builders: Mutex::default(),
            decoding: Slots::new(limits::VALIDATION_THREADS),
            catalog: Arc::default(),
            connections: Gauge::default(),
            unsent: Unsent::new(options.unsent_bytes_max),
            options,
            counters: HttpCounters::default(),
        };
        App { shared: Arc::new(shared) }
    }

    /// Recovery is done: from here on requests are served. Counts once.
    pub fn set_ready(&self, ingest: Ingest) {
        let _ = self.shared.ingest.set(ingest);
    }

    /// The pipeline, once there is one.
    fn ingest(&self) -> Result<&Ingest> {
        self.shared.ingest.get().ok_or_else(|| {
            let what = "the store is being recovered: not ready yet, come back soon";
            Error::closed(what).retry_after_ms(1_000)
        })
    }

    /// Runs with a builder that others have used before, so that its memory is warm.
    fn with_builder<T>(&self, work: impl FnOnce(&mut BatchBuilder) -> T) -> T {
        let pool = || self.shared.builders.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = pool().pop();
        let mut builder = taken.unwrap_or_default();
        let outcome = work(&mut builder);
        let mut builders = pool();
        if builders.len() < BUILDERS_KEPT_MAX {
            builders.push(builder);
        }
        outcome
    }
}
