//! Every limit of the engine and its protocol, by name, with its reason. Checked on write and again
//! on read: a file is as little trusted as a peer. `annal serve --print-limits` shows this table.

macro_rules! limits {
    ($($(#[doc = $doc:literal])+ $name:ident: $type:ty = $value:expr;)*) => {
        $($(#[doc = $doc])+ pub const $name: $type = $value;)*

        /// Name, value and reason of each limit, in the order of this file.
        pub const ALL: &[(&str, u64, &str)] = &[
            $((stringify!($name), $value as u64, concat!($($doc),+)),)*
        ];
    };
}

limits! {
    /// Events in one batch: row numbers fit 16 bits and a batch stays a cheap unit to read.
    BATCH_EVENTS_MAX: usize = 65_536;
    /// Rows of each other table of a batch (resources, scopes, links, span events): as events.
    BATCH_ROWS_MAX: usize = 65_536;
    /// Stored bytes of one batch: one group and one credit window hold it.
    BATCH_STORED_BYTES_MAX: usize = 8 << 20;
    /// Raw (decompressed) bytes of one batch: bounds what a reader allocates.
    BATCH_RAW_BYTES_MAX: usize = 8 << 20;
    /// Sum of the bytes of all values over all events: bounds what dictionaries can blow up to.
    BATCH_EXPANDED_BYTES_MAX: usize = 64 << 20;
    /// Distinct (source, type) pairs in one batch.
    BATCH_SERIES_MAX: usize = 4_096;
    /// Columns in one batch, over all tables: bounds the directory that a reader walks.
    BATCH_COLUMNS_MAX: usize = 16_384;
    /// Columns in one block: those of a batch, and when the store received each event.
    BLOCK_COLUMNS_MAX: usize = BATCH_COLUMNS_MAX + 1;
    /// Events in one block of a compacted segment: what a query decodes at a time.
    BLOCK_EVENTS_MAX: usize = 8_192;
    /// Stored bytes of one block: half of it may come from the frame that filled it.
    BLOCK_STORED_BYTES_MAX: usize = 16 << 20;
    /// Raw bytes of one block, all columns: bounds what a reader of all of them decompresses.
    BLOCK_RAW_BYTES_MAX: usize = 32 << 20;
    /// Series of a compacted segment after which its job takes no further input: they are in memory.
    SEGMENT_SERIES_MAX: usize = 65_536;
    /// Attributes that a compacted segment lists; one with more has no index of them.
    ATTRIBUTES_LISTED_MAX: usize = 4_096;
    /// Minutes, each of one source, that a compacted segment knows: one with more has them read.
    MINUTE_CELLS_MAX: usize = 1 << 18;
    /// Bytes of one request after decompression: OTLP's recommendation.
    REQUEST_BYTES_MAX: usize = 64 << 20;
    /// Attributes of one event, its resource, its scope, a link or a span event, each.
    ATTRIBUTES_MAX: usize = 1_024;
    /// Links of one event.
    LINKS_MAX: usize = 1_024;
    /// Span events of one event.
    SPAN_EVENTS_MAX: usize = 1_024;
    /// Bytes of an attribute key.
    KEY_BYTES_MAX: usize = 256;
    /// Bytes of an attribute value, message or other text.
    VALUE_BYTES_MAX: usize = 64 << 10;
    /// Bytes of a source or type.
    NAME_BYTES_MAX: usize = 1_024;
    /// Nesting of arrays and maps in a value.
    NESTING_MAX: usize = 64;
    /// Window of a zstd frame: what a decompressor may be asked to keep.
    ZSTD_WINDOW_BYTES_MAX: usize = 8 << 20;
    /// Bytes of frames that share one sync (a single frame may be larger).
    GROUP_BYTES_MAX: usize = 8 << 20;
    /// Bytes admitted and not yet durable, over all producers of a process.
    IN_FLIGHT_BYTES_MAX: usize = 128 << 20;
    /// Batches of one producer in flight, and number-to-sequence pairs remembered for retries.
    PRODUCER_BATCHES_MAX: usize = 64;
    /// Producers remembered.
    PRODUCERS_MAX: usize = 65_536;
    /// Days after which an idle producer is forgotten.
    PRODUCER_IDLE_DAYS: u64 = 7;
    /// Smallest segment.
    SEGMENT_BYTES_MIN: u64 = 64 << 10;
    /// Largest segment.
    SEGMENT_BYTES_MAX: u64 = 1 << 30;
    /// A full segment unless options say otherwise.
    SEGMENT_BYTES_DEFAULT: u64 = 64 << 20;
    /// Bytes of sealed log that wait for compaction before senders wait, unless options say
    /// otherwise.
    COMPACTION_DEBT_BYTES_DEFAULT: u64 = 4 * SEGMENT_BYTES_MAX;
    /// Full segments that may wait at least: a job in its course is no reason to refuse anybody.
    COMPACTION_DEBT_SEGMENTS_MIN: u64 = 4;
    /// Bytes a second that are read to find rot: next to nothing, and 2.4 TB in a period.
    SCRUB_BYTES_PER_S: u64 = 4_194_304;
    /// Seconds from one such round over all files to the next: a week.
    SCRUB_PERIOD_S: u64 = 604_800;
    /// How far an event's time may lie after the clock, in seconds: beyond it is a broken clock.
    TIME_AHEAD_S_MAX: u64 = 86_400;
    /// Sequences skipped after an unclean stop: none that a lost group was given is used again.
    SEQUENCE_GAP: u64 = 1 << 20;
    /// Manifests kept, older ones for diagnosis.
    MANIFESTS_KEPT: usize = 8;
    /// Bytes of one manifest.
    MANIFEST_BYTES_MAX: usize = 64 << 20;
    /// Bytes of decoded directories kept for readers.
    CACHE_BYTES_MAX: usize = 32 << 20;
    /// Bytes of opened frames and their decompressed columns kept for readers; half as much again may
    /// be kept in buffers for the next ones.
    VIEW_CACHE_BYTES_MAX: usize = 64 << 20;
    /// Queries that run at a time: the cores of a small machine, ingest is to keep its share.
    QUERY_THREADS: usize = 2;
    /// Queries that wait for a thread before more are refused as `Busy`.
    QUERIES_WAITING_MAX: usize = 256;
    /// Large batches that are validated at a time, away from the network threads.
    VALIDATION_THREADS: usize = 2;
    /// TCP and HTTP connections of a process, together.
    CONNECTIONS_MAX: usize = 10_000;
    /// File descriptors that connections leave to segments and all else; half, if fewer may be open.
    DESCRIPTORS_RESERVED: usize = 256;
    /// Bytes of unanswered appends on one TCP connection: hides a sync of 100 ms at 160 MB/s.
    TCP_CREDIT_BYTES: usize = 16 << 20;
    /// Appends unanswered on one TCP connection: those that a producer's retry is recognised among.
    TCP_APPENDS_IN_FLIGHT_MAX: usize = PRODUCER_BATCHES_MAX;
    /// Queries at a time on one TCP connection.
    TCP_QUERIES_MAX: usize = 4;
    /// Seconds from connecting to a complete hello.
    TCP_HELLO_S_MAX: u64 = 5;
    /// Seconds without a byte from a client before it is taken for gone.
    TCP_IDLE_S_MAX: u64 = 60;
    /// Seconds from a message's first byte to its last: 8 MiB at a megabit per second and more.
    TCP_MESSAGE_S_MAX: u64 = 60;
    /// Seconds that a client may leave what it is told unread before it is taken for gone.
    TCP_WRITE_S_MAX: u64 = 30;
    /// Seconds that a stopping server gives its connections to finish.
    TCP_DRAIN_S_MAX: u64 = 20;
    /// Seconds that a closed connection's input is read away, so that its last error arrives.
    TCP_LINGER_S_MAX: u64 = 1;
    /// Events in an answer unless the caller says otherwise.
    ANSWER_EVENTS_DEFAULT: usize = 100;
    /// Bytes of an answer unless the caller says otherwise.
    ANSWER_BYTES_DEFAULT: usize = 64 << 20;
    /// Bytes of HTTP answers that clients have not read yet; beyond it large ones are `Busy`.
    ANSWERS_UNSENT_BYTES_MAX: usize = 128 << 20;
    /// Seconds that an HTTP client may leave its answer unread before its connection is cut.
    HTTP_WRITE_S_MAX: u64 = 30;
    /// Bytes of a compiled regular expression.
    REGEX_BYTES_MAX: usize = 1 << 20;
    /// Regular expressions of one query: each may hold as much again in caches while it runs.
    QUERY_REGEXES_MAX: usize = 32;
    /// Bytes of the text of a query expression.
    QUERY_TEXT_BYTES_MAX: usize = 64 << 10;
    /// Nesting of a query expression.
    QUERY_NESTING_MAX: usize = 64;
    /// Groups of a count, points of series: sources, types and times that occur together.
    COUNT_GROUPS_MAX: usize = 1 << 20;
    /// Distinct values that are told apart, e.g. all users of a day; beyond it counts are not exact.
    DISTINCT_VALUES_MAX: usize = 1 << 20;
    /// Bytes of the distinct values that are told apart: they may be long texts.
    DISTINCT_BYTES_MAX: usize = 64 << 20;
    /// Spans that are joined with their parents at a time: 32 bytes each; more are read again.
    JOINED_SPANS_MAX: usize = 4 << 20;
    /// Threads that one query uses unless the options say otherwise: machines of two processors are
    /// what we measure on, and more of a query than that would take them from ingest.
    SCAN_THREADS_DEFAULT: usize = 2;
    /// Threads that one query may use at most: more than that wait for memory, not for processors.
    SCAN_THREADS_MAX: usize = 64;
    /// Seconds a query may take unless the caller says otherwise.
    QUERY_DEADLINE_S_DEFAULT: u64 = 30;
    /// Minutes that a server keeps a snapshot alive: a longer deadline of a query is cut to it.
    SNAPSHOT_AGE_MIN_MAX: u64 = 15;
}

const _: () = assert!(BATCH_STORED_BYTES_MAX <= GROUP_BYTES_MAX);
const _: () = assert!(BATCH_EVENTS_MAX <= 1 << 16);
const _: () = assert!(BATCH_STORED_BYTES_MAX + 128 <= TCP_CREDIT_BYTES);
const _: () = assert!(REQUEST_BYTES_MAX <= IN_FLIGHT_BYTES_MAX);
const _: () = assert!(BATCH_STORED_BYTES_MAX <= BLOCK_STORED_BYTES_MAX);
const _: () = assert!(4 * BATCH_RAW_BYTES_MAX <= BLOCK_RAW_BYTES_MAX);
const _: () = assert!(BATCH_SERIES_MAX <= BLOCK_EVENTS_MAX);
