//! A server to ask, and requests to send.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use annal::ingest::{Ingest, IngestOptions};
use annal::time::{Clock, SystemClock};
use annal::{Options, Store};
use annal_server::http::{self, App, HttpOptions};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use serde_json::Value as Json;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

pub(crate) const PROTOBUF: &str = "application/x-protobuf";

/// A running server; its store is closed and removed when it is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) app: App,
    ingest: Option<Ingest>,
    stop: Option<oneshot::Sender<()>>,
    served: Option<tokio::task::JoinHandle<annal::Result<()>>>,
    runtime: Runtime,
    _directory: tempfile::TempDir,
}

impl Server {
    pub(crate) fn start() -> Server {
        Server::with(HttpOptions::default(), IngestOptions::default())
    }

    pub(crate) fn with_budget(in_flight_bytes_max: usize) -> Server {
        let options = IngestOptions { in_flight_bytes_max, ..IngestOptions::default() };
        Server::with(HttpOptions::default(), options)
    }

    pub(crate) fn with(http: HttpOptions, options: IngestOptions) -> Server {
        let server = Server::listening(http, options);
        server.app.set_ready(server.ingest.clone().unwrap());
        server
    }

    /// Listens, but has not been told that the store is open.
    pub(crate) fn recovering(options: IngestOptions) -> Server {
        Server::listening(HttpOptions::default(), options)
    }

    fn listening(http: HttpOptions, options: IngestOptions) -> Server {
        let directory = tempfile::tempdir().unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.unwrap();
        let (store, _) = Store::open(Options::new(directory.path().join("store"))).unwrap();
        let app = App::with(http);
        let (stop, stopped) = oneshot::channel();
        let (address, served, ingest) = runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let shutdown = async {
                let _ = stopped.await;
            };
            let served = tokio::spawn(http::serve(listener, app.clone(), shutdown));
            (address, served, Ingest::new(store, options))
        });
        Server {
            address,
            app,
            ingest: Some(ingest),
            stop: Some(stop),
            served: Some(served),
            runtime,
            _directory: directory,
        }
    }

    pub(crate) fn ingest(&self) -> Ingest {
        self.ingest.clone().unwrap()
    }

    /// Makes a query thread wait until what comes back is dropped.
    pub(crate) fn occupy_a_query_thread(&self) -> std::sync::mpsc::Sender<()> {
        let (go_on, may_end) = std::sync::mpsc::channel::<()>();
        let (begun, has_begun) = std::sync::mpsc::channel();
        let ingest = self.ingest();
        self.runtime.spawn(async move {
            let wait = move |_| {
                begun.send(()).unwrap();
                let _ = may_end.recv();
                Ok(())
            };
            ingest.query(wait).await
        });
        has_begun.recv().unwrap();
        go_on
    }

    /// Stops in good order; says whether the gateway ended well.
    pub(crate) fn stop(&mut self) -> annal::Result<()> {
        let _ = self.stop.take().unwrap().send(());
        let served = self.served.take().unwrap();
        self.runtime.block_on(served).unwrap()
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"), b"")
    }

    pub(crate) fn post(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut head = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n",
            body.len()
        );
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        self.ask(&format!("{head}\r\n"), body)
    }

    pub(crate) fn traces(&self, request: &ExportTraceServiceRequest) -> Answer {
        let body = prost::Message::encode_to_vec(request);
        self.post("/v1/traces", &[("content-type", PROTOBUF)], &body)
    }

    /// Sends these bytes and reads until the server closes.
    pub(crate) fn ask(&self, head: &str, body: &[u8]) -> Answer {
        let mut stream = self.connect();
        stream.write_all(head.as_bytes()).unwrap();
        // A refusal may come, and the connection end, before all is sent.
        let _ = stream.write_all(body);
        let mut raw = Vec::new();
        let _ = stream.read_to_end(&mut raw);
        Answer::parse(&raw)
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream
    }

    /// The value of a metric, labels included in its name.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let page = self.get("/metrics").text();
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0, |value| value.parse().unwrap())
    }

    pub(crate) fn count(&self) -> u64 {
        self.get("/api/v1/count").json()["counts"][0]["count"].as_u64().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.stop.is_some() {
            self.stop().unwrap();
        }
        if let Some(ingest) = self.ingest.take() {
            let _ = self.runtime.block_on(ingest.close());
        }
    }
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    fn parse(raw: &[u8]) -> Answer {
        let end = raw.windows(4).position(|w| w == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no answer: {:?}", String::from_utf8_lossy(raw)));
        let head = String::from_utf8(raw[..end].to_vec()).unwrap().to_ascii_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head, body: raw[end + 4..].to_vec() }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(crate) fn json(&self) -> Json {
        assert_eq!(self.header("content-type"), Some("application/json"), "{}", self.head);
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The words of a refusal, whatever its encoding.
    pub(crate) fn words(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

pub(crate) fn now_ns() -> u64 {
    SystemClock::new().now().0 as u64
}

/// A span of trace 7 that ended just now.
pub(crate) fn span(number: u64) -> Span {
    let end = now_ns();
    Span {
        trace_id: vec![7; 16],
        span_id: (number + 1).to_be_bytes().to_vec(),
        name: if number.is_multiple_of(2) { "even" } else { "odd" }.into(),
        kind: 2,
        start_time_unix_nano: end - 1_000_000 - number,
        end_time_unix_nano: end,
        attributes: vec![attribute("number", any_value::Value::IntValue(number as i64))],
        status: (number.is_multiple_of(10)).then(|| Status { code: 2, message: "bad".into() }),
        ..Span::default()
    }
}

pub(crate) fn attribute(key: &str, value: any_value::Value) -> KeyValue {
    let value = Some(AnyValue { value: Some(value) });
    KeyValue { key: key.into(), value, ..KeyValue::default() }
}

pub(crate) fn request(spans: Vec<Span>) -> ExportTraceServiceRequest {
    request_of("cart", spans)
}

/// Text as it stands in a URL's query part.
pub(crate) fn encoded(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    let each = text.bytes().map(|b| match plain(b) {
        true => char::from(b).to_string(),
        false => format!("%{b:02X}"),
    });
    each.collect()
}

/// Spans of one service.
pub(crate) fn request_of(service: &str, spans: Vec<Span>) -> ExportTraceServiceRequest {
    let name = any_value::Value::StringValue(service.into());
    let resource =
        Resource { attributes: vec![attribute("service.name", name)], ..Resource::default() };
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let group = ResourceSpans { resource: Some(resource), scope_spans, ..ResourceSpans::default() };
    ExportTraceServiceRequest { resource_spans: vec![group] }
}
