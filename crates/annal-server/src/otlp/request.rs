//! A request: resources, scopes, records. Traces and logs share this shape and its field numbers.

use annal::column::{BATCH_FIELD, ResourceFields, ScopeFields};
use annal::{BatchBuilder, Error, Timestamp};

use super::value::key_value;
use super::wire::{Broken, Fields};
use super::{Rejections, Sink, Stop, log, span};

/// What a request is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Record {
    Span,
    Log,
}

/// Why a record is not stored.
pub(super) struct Refusal {
    /// A word for metrics.
    pub(super) reason: &'static str,
    /// The rule that it breaks.
    pub(super) error: Error,
}

impl Refusal {
    /// A rule of OTLP or of the event model that the record breaks in one field.
    #[cold]
    pub(super) fn of(reason: &'static str, what: impl Into<String>) -> Refusal {
        Refusal { reason, error: Error::invalid(what).in_field(reason) }
    }

    fn is_full_batch(&self) -> bool {
        self.error.field() == Some(BATCH_FIELD)
    }
}

impl From<Error> for Refusal {
    #[cold]
    fn from(error: Error) -> Refusal {
        Refusal { reason: error.kind().policy().name, error }
    }
}

/// The messages around the records that are being read, and what the builder knows of them.
#[derive(Clone, Copy)]
struct Context<'a> {
    group: &'a [u8],
    resource: ResourceFields<'a>,
    resource_begun: bool,
    scopes: &'a [u8],
    /// `None`: the records have no scope.
    scope: Option<ScopeFields<'a>>,
    scope_begun: bool,
}

pub(super) struct Decoder<'b, 's> {
    record: Record,
    builder: &'b mut BatchBuilder,
    now: Timestamp,
    sink: Sink<'s>,
    rejections: Rejections,
    /// Ordinal of the record in the request, for messages.
    ordinal: u64,
}

impl<'b, 's> Decoder<'b, 's> {
    pub(super) fn new(
        record: Record,
        builder: &'b mut BatchBuilder,
        now: Timestamp,
        sink: Sink<'s>,
    ) -> Decoder<'b, 's> {
        Decoder { record, builder, now, sink, rejections: Rejections::default(), ordinal: 0 }
    }

    pub(super) fn into_rejections(self) -> Rejections {
        self.rejections
    }

    /// The whole request; what is left in the builder at the end is the last batch.
    pub(super) fn request(&mut self, body: &[u8]) -> Result<(), Stop> {
        let mut fields = Fields::new(body);
        while let Some((number, content)) = fields.next()? {
            if number == 1 {
                self.group(content.bytes("a resource's records have a wrong wire type")?)?;
            }
        }
        self.flush()
    }

    /// `ResourceSpans` or `ResourceLogs`.
    fn group(&mut self, group: &[u8]) -> Result<(), Stop> {
        let mut context = Context {
            group,
            resource: scan_resource(group)?,
            resource_begun: false,
            scopes: &[],
            scope: None,
            scope_begun: false,
        };
        let mut fields = Fields::new(group);
        while let Some((number, content)) = fields.next()? {
            if number == 2 {
                let scopes = content.bytes("a scope's records have a wrong wire type")?;
                // Only a resource begun anew takes back a scope.
                context.resource_begun &= context.scope.is_none();
                context.scopes = scopes;
                context.scope = scan_scope(scopes)?;
                context.scope_begun = false;
                self.records(&mut context)?;
            }
        }
        Ok(())
    }

    /// The records of one `ScopeSpans` or `ScopeLogs`.
    fn records(&mut self, context: &mut Context<'_>) -> Result<(), Stop> {
        let mut fields = Fields::new(context.scopes);
        while let Some((number, content)) = fields.next()? {
            if number == 2 {
                let record = content.bytes("a record has a wrong wire type")?;
                if let Err(refusal) = self.store(context, record)? {
                    self.refuse(&refusal);
                }
                self.ordinal += 1;
            }
        }
        Ok(())
    }

    /// Stores a record, in the next batch if this one has no room; or says why it cannot be.
    fn store(
        &mut self,
        context: &mut Context<'_>,
        record: &[u8],
    ) -> Result<Result<(), Refusal>, Stop> {
        let mut stored = self.attempt(context, record)?;
        if stored.as_ref().is_err_and(Refusal::is_full_batch) {
            self.flush_within(context)?;
            stored = self.attempt(context, record)?;
        }
        if stored.is_ok() && self.builder.is_full() {
            self.flush_within(context)?;
        }
        Ok(stored)
    }

    fn attempt(
        &mut self,
        context: &mut Context<'_>,
        record: &[u8],
    ) -> Result<Result<(), Refusal>, Broken> {
        let begun = begin(self.builder, context)?;
        match self.record {
            Record::Span => span::store(record, begun, self.builder, self.now),
            Record::Log => log::store(record, begun, self.builder, self.now),
        }
    }

    #[cold]
    fn refuse(&mut self, refusal: &Refusal) {
        let (ordinal, error) = (self.ordinal, &refusal.error);
        let what = match self.record {
            Record::Span => "span",
            Record::Log => "log record",
        };
        self.rejections.add(refusal.reason, 1, || format!("{what} {ordinal}: {error}"));
    }

    fn flush_within(&mut self, context: &mut Context<'_>) -> Result<(), Stop> {
        (context.resource_begun, context.scope_begun) = (false, false);
        self.flush()
    }

    fn flush(&mut self) -> Result<(), Stop> {
        if self.builder.events() == 0 {
            // Resources whose records were all refused.
            self.builder.clear();
            return Ok(());
        }
        let batch = self.builder.finish()?;
        Ok((self.sink)(batch)?)
    }
}

/// Begins resource and scope unless the builder has them already.
#[inline]
fn begin(
    builder: &mut BatchBuilder,
    context: &mut Context<'_>,
) -> Result<Result<(), Refusal>, Broken> {
    if context.resource_begun && (context.scope_begun || context.scope.is_none()) {
        return Ok(Ok(()));
    }
    begin_anew(builder, context)
}

fn begin_anew(
    builder: &mut BatchBuilder,
    context: &mut Context<'_>,
) -> Result<Result<(), Refusal>, Broken> {
    if !context.resource_begun {
        context.scope_begun = false;
        if let Err(error) = builder.begin_resource(&context.resource) {
            return Ok(Err(error.into()));
        }
        if let Err(refusal) = add_attributes(builder, context.group, 1)? {
            return Ok(Err(refusal));
        }
        context.resource_begun = true;
    }
    if let Some(scope) = context.scope.filter(|_| !context.scope_begun) {
        if let Err(error) = builder.begin_scope(&scope) {
            return Ok(Err(error.into()));
        }
        if let Err(refusal) = add_attributes(builder, context.scopes, 3)? {
            return Ok(Err(refusal));
        }
        context.scope_begun = true;
    }
    Ok(Ok(()))
}

/// Adds the attributes of the message in field 1 of `outer`; there they are field `attributes`.
fn add_attributes(
    builder: &mut BatchBuilder,
    outer: &[u8],
    attributes: u64,
) -> Result<Result<(), Refusal>, Broken> {
    let mut fields = Fields::new(outer);
    while let Some((number, content)) = fields.next()? {
        if number != 1 {
            continue;
        }
        let mut inner = Fields::new(content.bytes("resource or scope have a wrong wire type")?);
        while let Some((number, content)) = inner.next()? {
            if number == attributes {
                let (key, value) = key_value(content.bytes("attributes have a wrong wire type")?)?;
                if let Err(error) = builder.attribute(key, value) {
                    return Ok(Err(error.into()));
                }
            }
        }
    }
    Ok(Ok(()))
}

/// Reads what a group says of its resource but the attributes, and checks those.
fn scan_resource(group: &[u8]) -> Result<ResourceFields<'_>, Broken> {
    let mut resource = ResourceFields::default();
    let mut fields = Fields::new(group);
    while let Some((number, content)) = fields.next()? {
        match number {
            1 => {
                let mut inner = Fields::new(content.bytes("the resource has a wrong wire type")?);
                while let Some((number, content)) = inner.next()? {
                    match number {
                        1 => {
                            key_value(content.bytes("attributes have a wrong wire type")?)?;
                        }
                        2 => {
                            let count = content.varint("a dropped count has a wrong wire type")?;
                            resource.dropped_attributes = count as u32;
                        }
                        _ => {}
                    }
                }
            }
            3 => resource.schema_url = content.text("a schema URL has a wrong wire type")?,
            _ => {}
        }
    }
    Ok(resource)
}

/// Reads what the message around records says of their scope, but the attributes, and checks those.
fn scan_scope(scopes: &[u8]) -> Result<Option<ScopeFields<'_>>, Broken> {
    let mut scope = ScopeFields::default();
    let mut present = false;
    let mut fields = Fields::new(scopes);
    while let Some((number, content)) = fields.next()? {
        match number {
            1 => {
                present = true;
                let mut inner = Fields::new(content.bytes("the scope has a wrong wire type")?);
                while let Some((number, content)) = inner.next()? {
                    match number {
                        1 => scope.name = content.text("a scope's name has a wrong wire type")?,
                        2 => {
                            scope.version = content.text("a version has a wrong wire type")?;
                        }
                        3 => {
                            key_value(content.bytes("attributes have a wrong wire type")?)?;
                        }
                        4 => {
                            let count = content.varint("a dropped count has a wrong wire type")?;
                            scope.dropped_attributes = count as u32;
                        }
                        _ => {}
                    }
                }
            }
            3 => scope.schema_url = content.text("a schema URL has a wrong wire type")?,
            _ => {}
        }
    }
    Ok((present || !scope.schema_url.is_empty()).then_some(scope))
}
