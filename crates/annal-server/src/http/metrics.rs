//! `GET /metrics`: Prometheus' text format, by hand.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use annal::ingest::Ingest;
use annal::query::Scanned;
use axum::extract::State;
use axum::response::Response;

use super::App;
use super::errors::with_type;

/// What only the HTTP gateway counts.
#[derive(Debug, Default)]
pub(super) struct HttpCounters {
    refused_connections: AtomicU64,
    /// Shared with the streams.
    pub(super) cut_connections: Arc<AtomicU64>,
    queries: AtomicU64,
    query_errors: AtomicU64,
    query_frames: AtomicU64,
    query_frames_pruned: AtomicU64,
    query_events_read: AtomicU64,
    query_events_matched: AtomicU64,
    query_bytes_read: AtomicU64,
}

impl HttpCounters {
    pub(super) fn refused_connection(&self) {
        self.refused_connections.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a query and what it read.
    pub(super) fn queried(&self, answered: bool, scanned: &Scanned) {
        self.queries.fetch_add(1, Ordering::Relaxed);
        if !answered {
            self.query_errors.fetch_add(1, Ordering::Relaxed);
        }
        for (counter, value) in [
            (&self.query_frames, scanned.frames),
            (&self.query_frames_pruned, scanned.frames_pruned),
            (&self.query_events_read, scanned.events_read),
            (&self.query_events_matched, scanned.events_matched),
            (&self.query_bytes_read, scanned.bytes_read),
        ] {
            counter.fetch_add(value, Ordering::Relaxed);
        }
    }
}

pub(super) async fn show(State(app): State<App>) -> Response {
    let mut page = Page::default();
    let ingest = app.ingest().ok();
    page.gauge("annal_ready", "1 once recovery is done", u64::from(ingest.is_some()));
    if let Some(ingest) = ingest {
        pipeline(&mut page, ingest);
        store(&mut page, ingest);
    }
    gateway(&mut page, &app);
    with_type("text/plain; version=0.0.4; charset=utf-8", page.text)
}

fn pipeline(page: &mut Page, ingest: &Ingest) {
    let counters = ingest.counters();
    let name = "annal_rejected_total";
    page.head(name, "counter", "Events refused, or inputs whose events could not be counted");
    for row in counters.rejected() {
        let (protocol, reason, count) = (row.protocol, row.reason, row.count);
        let labels = format!("{{protocol=\"{protocol}\",reason=\"{reason}\"}}");
        let _ = writeln!(page.text, "{name}{labels} {count}");
    }
    page.gauge(
        "annal_in_flight_bytes",
        "Admitted, not yet durable",
        ingest.in_flight_bytes() as u64,
    );
    page.gauge(
        "annal_in_flight_bytes_max",
        "What may be admitted and not yet durable",
        ingest.in_flight_bytes_max() as u64,
    );
    page.gauge("annal_tcp_connections", "Open TCP connections", counters.tcp_connections.get());
}

fn store(page: &mut Page, ingest: &Ingest) {
    let stats = ingest.store().stats();
    page.counter("annal_events_total", "Events that became durable", stats.events);
    page.counter("annal_batches_total", "Batches that became durable", stats.batches);
    page.counter("annal_duplicates_total", "Batches that had been stored", stats.duplicates);
    page.counter("annal_bytes_total", "Bytes of frames that became durable", stats.bytes);
    page.counter("annal_groups_total", "Groups committed", stats.groups);
    page.counter("annal_syncs_total", "Syncs of the log", stats.syncs);
    let name = "annal_sync_seconds_total";
    page.head(name, "counter", "Time spent in syncs of the log");
    let _ = writeln!(page.text, "{name} {}", stats.sync_ns as f64 / 1e9);
    page.counter("annal_segments_sealed_total", "Segments sealed", stats.sealed);
    page.counter("annal_segments_retired_total", "Segments removed by retention", stats.retired);
    page.gauge("annal_queue_bytes", "Bytes that wait for a sync", stats.queue_bytes);
    page.gauge("annal_segments", "Segments, the active one included", stats.segments);
    page.gauge("annal_log_bytes", "Bytes of segment files", stats.log_bytes);
    page.gauge("annal_pinned_bytes", "Bytes that only snapshots keep", stats.pinned_bytes);
    page.gauge("annal_producers", "Producers remembered", stats.producers);
    page.gauge("annal_next_sequence", "First sequence that is not visible", stats.next_sequence);
    page.gauge("annal_poisoned", "1 after a sync failed", u64::from(stats.poisoned));
    page.gauge("annal_full", "1 while there is no space", u64::from(stats.full));
    page.gauge(
        "annal_compaction_debt_bytes",
        "Bytes of log segments that wait for compaction, the active one included",
        stats.compaction_debt_bytes,
    );
    page.gauge(
        "annal_compaction_refuses",
        "1 while batches are refused until compaction has caught up",
        u64::from(stats.compaction_refuses),
    );
    page.gauge(
        "annal_compaction_paused",
        "1 while compaction is paused",
        u64::from(stats.compaction_paused),
    );
    page.counter("annal_compactions_total", "Jobs of compaction finished", stats.compactions);
    page.counter(
        "annal_compaction_failures_total",
        "Jobs of compaction that failed and are tried again",
        stats.compaction_failures,
    );
    page.counter("annal_compacted_events_total", "Events compacted", stats.compacted_events);
    page.counter(
        "annal_compaction_read_bytes_total",
        "Bytes of the inputs of jobs that were finished",
        stats.compaction_read_bytes,
    );
    page.counter(
        "annal_compaction_written_bytes_total",
        "Bytes of the files that compaction wrote",
        stats.compaction_written_bytes,
    );
    page.counter(
        "annal_compaction_blocks_copied_total",
        "Blocks in those files that were copied as they were stored",
        stats.compaction_blocks_copied,
    );
    page.gauge(
        "annal_compaction_job_bytes",
        "Bytes of its inputs that the running job has read, about",
        stats.compaction_job_bytes,
    );
    page.gauge(
        "annal_compaction_job_input_bytes",
        "Bytes of the inputs of the running job, 0 without one",
        stats.compaction_job_bytes_total,
    );
    page.counter(
        "annal_scrubbed_bytes_total",
        "Bytes of files held against their digests",
        stats.scrubbed_bytes,
    );
    page.counter(
        "annal_scrub_errors_total",
        "Files that are not what their digests say",
        stats.scrub_errors,
    );
}

fn gateway(page: &mut Page, app: &App) {
    let counters = &app.shared.counters;
    let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    page.gauge("annal_http_connections", "Open HTTP connections", app.shared.connections.get());
    page.counter(
        "annal_http_connections_refused_total",
        "Connections beyond the cap",
        get(&counters.refused_connections),
    );
    page.counter(
        "annal_http_connections_cut_total",
        "Connections whose client did not read its answer",
        get(&counters.cut_connections),
    );
    let unsent = app.shared.unsent.bytes() as u64;
    page.gauge("annal_http_unsent_bytes", "Large answers that are not read yet", unsent);
    page.counter("annal_queries_total", "Queries over HTTP", get(&counters.queries));
    page.counter("annal_query_errors_total", "Queries that failed", get(&counters.query_errors));
    page.counter("annal_query_frames_total", "Frames looked at", get(&counters.query_frames));
    page.counter(
        "annal_query_frames_pruned_total",
        "Frames of those that were not read",
        get(&counters.query_frames_pruned),
    );
    page.counter("annal_query_events_read_total", "Events read", get(&counters.query_events_read));
    page.counter(
        "annal_query_events_matched_total",
        "Events of those that matched",
        get(&counters.query_events_matched),
    );
    page.counter("annal_query_bytes_total", "Stored bytes read", get(&counters.query_bytes_read));
}

/// The page as it grows.
#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.head(name, "counter", help);
        let _ = writeln!(self.text, "{name} {value}");
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) {
        self.head(name, "gauge", help);
        let _ = writeln!(self.text, "{name} {value}");
    }
}
