//! Writes down what happens: spans that open and close, calls between services, logs.

use annal::event::{Attribute, Kind, Link, Signal, SpanEvent, Status};
use annal::{Event, SpanId, Timestamp, TraceId, Value};

use super::random::Random;
use super::rhythm::Incident;
use super::services::{Service, Services};

/// An open span, by its place in the story.
pub(crate) type Place = usize;

/// How a piece of work ended.
#[derive(Clone, Debug)]
pub(crate) struct Done {
    /// When.
    pub(crate) end: i64,
    /// Why it failed.
    pub(crate) fault: Option<Fault>,
}

/// Why something failed.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    /// gRPC status code.
    pub(crate) grpc: i64,
    /// Name of the exception.
    pub(crate) exception: &'static str,
    /// What it says.
    pub(crate) message: String,
}

impl Done {
    pub(crate) fn at(end: i64) -> Done {
        Done { end, fault: None }
    }
}

/// One trace in the making.
pub(crate) struct Story<'a> {
    pub(crate) random: &'a mut Random,
    pub(crate) incident: Option<Incident>,
    services: &'a Services,
    trace: TraceId,
    events: Vec<Event>,
}

pub(crate) fn text(key: &'static str, value: impl Into<String>) -> Attribute {
    Attribute::new(key, Value::String(value.into()))
}

pub(crate) fn int(key: &'static str, value: i64) -> Attribute {
    Attribute::new(key, Value::Int(value))
}

impl<'a> Story<'a> {
    pub(crate) fn new(
        random: &'a mut Random,
        services: &'a Services,
        incident: Option<Incident>,
    ) -> Story<'a> {
        let trace = TraceId(random.bytes());
        Story { random, incident, services, trace, events: Vec::with_capacity(48) }
    }

    /// All events, by time.
    pub(crate) fn finish(mut self) -> Vec<Event> {
        self.events.sort_by_key(|e| e.time);
        self.events
    }

    /// Opens a span. Its pod is that of its parent if the service is the same.
    pub(crate) fn open(
        &mut self,
        parent: Option<Place>,
        service: Service,
        kind: Kind,
        name: &str,
        start: i64,
        attributes: Vec<Attribute>,
    ) -> Place {
        let facts = self.services.of(service);
        let parent = parent.map(|place| &self.events[place]);
        let resource = match parent.filter(|p| p.source == facts.name) {
            Some(parent) => parent.resource.clone(),
            None => self.random.pick(&facts.resources).clone(),
        };
        let parent_span_id = parent.and_then(|p| p.span_id);
        self.events.push(Event {
            time: Timestamp(start),
            signal: Signal::Span,
            source: facts.name.to_owned(),
            event_type: name.to_owned(),
            trace_id: Some(self.trace),
            span_id: Some(SpanId(self.random.bytes())),
            parent_span_id,
            duration: Some(0),
            kind,
            flags: 0x101,
            attributes,
            resource,
            scope: Some(facts.scope.clone()),
            ..Event::default()
        });
        self.events.len() - 1
    }

    /// Closes a span.
    pub(crate) fn close(&mut self, place: Place, done: &Done) {
        let span = &mut self.events[place];
        span.duration = Some((done.end - span.time.as_ns()).max(0));
        if let Some(fault) = &done.fault {
            span.status = Status::Error;
            span.status_message = fault.message.clone();
        }
    }

    /// Adds an attribute to a span that is open or closed.
    pub(crate) fn note(&mut self, place: Place, attribute: Attribute) {
        self.events[place].attributes.push(attribute);
    }

    /// Records the fault as an exception in the span where it was thrown.
    pub(crate) fn throw(&mut self, place: Place, at: i64, fault: &Fault) {
        let trace = format!("{}: {}\n    at {}", fault.exception, fault.message, STACK);
        self.events[place].events.push(SpanEvent {
            time: Timestamp(at),
            name: "exception".to_owned(),
            attributes: vec![
                text("exception.type", fault.exception),
                text("exception.message", fault.message.clone()),
                text("exception.stacktrace", trace),
            ],
            dropped_attributes: 0,
        });
    }

    /// A log line of the span's service.
    pub(crate) fn log(&mut self, place: Place, at: i64, severity: u8, message: String) {
        let span = &self.events[place];
        let (severity_text, logger) = match severity {
            17.. => ("ERROR", "shop.errors"),
            13..=16 => ("WARN", "shop.app"),
            9..=12 => ("INFO", "shop.app"),
            _ => ("DEBUG", "shop.app"),
        };
        let log = Event {
            time: Timestamp(at),
            observed: Some(Timestamp(at + 180_000)),
            signal: Signal::Log,
            source: span.source.clone(),
            event_type: annal::event::LOG_TYPE.to_owned(),
            trace_id: span.trace_id,
            span_id: span.span_id,
            flags: 1,
            severity_number: severity,
            severity_text: severity_text.to_owned(),
            body: Some(Value::String(message)),
            attributes: vec![text("logger.name", logger)],
            resource: span.resource.clone(),
            ..Event::default()
        };
        self.events.push(log);
    }

    /// A call over gRPC: the client's span, the way there, the server's span and its work, the way
    /// back. An incident on the way is the work's business.
    pub(crate) fn call(
        &mut self,
        from: Place,
        start: i64,
        to: Service,
        method: &str,
        work: impl FnOnce(&mut Story<'_>, Place, i64) -> Done,
    ) -> Done {
        let caller = self.service_of(from);
        let name = format!("shop.{}/{method}", rpc_service(to));
        let rpc = |port: i64| {
            vec![
                text("rpc.system", "grpc"),
                text("rpc.service", format!("shop.{}", rpc_service(to))),
                text("rpc.method", method),
                text("server.address", to.name()),
                int("server.port", port),
            ]
        };
        let client = self.open(Some(from), caller, Kind::Client, &name, start, rpc(8_080));
        let arrived = start + self.random.took(250.0);
        let server = self.open(Some(client), to, Kind::Server, &name, arrived, rpc(8_080));
        let begun = arrived + self.random.took(40.0);
        let mut done = work(self, server, begun);
        let grpc = done.fault.as_ref().map_or(0, |f| f.grpc);
        self.close(server, &done);
        self.note(server, int("rpc.grpc.status_code", grpc));
        done.end += self.random.took(250.0);
        self.close(client, &done);
        self.note(client, int("rpc.grpc.status_code", grpc));
        done
    }

    /// A statement of a database, from the service of the span.
    pub(crate) fn database(
        &mut self,
        from: Place,
        start: i64,
        system: &'static str,
        name: &str,
        query: String,
        median_us: f64,
    ) -> i64 {
        let service = self.service_of(from);
        let attributes = vec![
            text("db.system.name", system),
            text("db.namespace", "shop"),
            text("db.operation.name", name.split(' ').next().unwrap_or(name)),
            text("db.query.text", query),
            text("server.address", format!("{system}.data.svc.cluster.local")),
        ];
        let span = self.open(Some(from), service, Kind::Client, name, start, attributes);
        let end = start + self.random.took(median_us);
        self.close(span, &Done::at(end));
        end
    }

    /// A link to a span of another trace.
    pub(crate) fn link(&mut self, place: Place, trace_id: TraceId, span_id: Option<SpanId>) {
        let attributes = vec![text("messaging.operation.type", "receive")];
        self.events[place].links.push(Link {
            trace_id,
            span_id,
            trace_state: String::new(),
            attributes,
            dropped_attributes: 0,
            flags: 0x101,
        });
    }

    /// The ids under which others know a span.
    pub(crate) fn ids(&self, place: Place) -> (TraceId, Option<SpanId>) {
        (self.trace, self.events[place].span_id)
    }

    fn service_of(&self, place: Place) -> Service {
        let source = &self.events[place].source;
        *SERVICES.iter().find(|s| s.name() == source).unwrap_or(&Service::Frontend)
    }
}

const STACK: &str = "handler (/srv/app/main:214)\n    at dispatch (/srv/app/server:88)";

const SERVICES: [Service; 12] = [
    Service::Frontend,
    Service::Cart,
    Service::Checkout,
    Service::Payment,
    Service::Shipping,
    Service::Currency,
    Service::Catalog,
    Service::Recommendation,
    Service::Ad,
    Service::Email,
    Service::Accounting,
    Service::Fraud,
];

fn rpc_service(service: Service) -> &'static str {
    match service {
        Service::Cart => "CartService",
        Service::Checkout => "CheckoutService",
        Service::Payment => "PaymentService",
        Service::Shipping => "ShippingService",
        Service::Currency => "CurrencyService",
        Service::Catalog => "ProductCatalogService",
        Service::Recommendation => "RecommendationService",
        Service::Ad => "AdService",
        Service::Email => "EmailService",
        _ => "InternalService",
    }
}
