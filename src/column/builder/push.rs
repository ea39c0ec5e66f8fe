//! Whole events: their resource and scope are recognised, by address first, then by content.

use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use std::hash::{BuildHasher, Hasher};

use crate::column::builder::{
    BatchBuilder, EventFields, LinkFields, Resource, ResourceFields, ScopeFields, SpanEventFields,
};
use crate::column::schema::Table;
use crate::error::Result;
use crate::event::{self, Attribute, Event, Scope, Value};

/// Resources and scopes of pushed events that have a row in the batch.
#[derive(Debug, Default)]
pub(super) struct Known {
    resources: Vec<(Arc<event::Resource>, String, Resource)>,
    scopes: Vec<(Arc<Scope>, u16)>,
    resources_by_content: HashTable<u32>,
    scopes_by_content: HashTable<u32>,
    /// The ones used last.
    resource: usize,
    scope: usize,
    hasher: RandomState,
}

impl Known {
    pub(super) fn clear(&mut self) {
        self.resources.clear();
        self.scopes.clear();
        self.resources_by_content.clear();
        self.scopes_by_content.clear();
    }

    /// Forgets resources and scopes whose rows were taken back.
    pub(super) fn forget_rows_from(&mut self, rows: &[u32; 5]) {
        let gone = |row: u16, table: Table| u32::from(row) >= rows[table as usize];
        let Known { resources, scopes, resources_by_content, scopes_by_content, .. } = self;
        while resources.last().is_some_and(|known| gone(known.2.row, Table::Resources)) {
            resources.pop();
            resources_by_content.retain(|&mut at| (at as usize) < resources.len());
        }
        while scopes.last().is_some_and(|known| gone(known.1, Table::Scopes)) {
            scopes.pop();
            scopes_by_content.retain(|&mut at| (at as usize) < scopes.len());
        }
    }

    fn find_resource(&mut self, arc: &Arc<event::Resource>, source: &str) -> Option<Resource> {
        let is_last = self.resources.get(self.resource);
        if let Some(known) = is_last
            && Arc::ptr_eq(&known.0, arc)
            && known.1 == source
        {
            return Some(known.2);
        }
        let hash = hash_resource(&self.hasher, arc, source);
        let &at = self.resources_by_content.find(hash, |&at| {
            let known = self.resources.get(at as usize);
            known.is_some_and(|known| known.1 == source && same(&known.0, arc))
        })?;
        self.resource = at as usize;
        self.resources.get(self.resource).map(|known| known.2)
    }

    fn add_resource(&mut self, arc: &Arc<event::Resource>, source: &str, resource: Resource) {
        let Known { resources, resources_by_content, hasher, .. } = self;
        self.resource = resources.len();
        resources.push((Arc::clone(arc), source.to_owned(), resource));
        let hash = hash_resource(hasher, arc, source);
        resources_by_content.insert_unique(hash, self.resource as u32, |&at| {
            let known = resources.get(at as usize);
            known.map_or(0, |known| hash_resource(hasher, &known.0, &known.1))
        });
    }

    fn find_scope(&mut self, arc: &Arc<Scope>) -> Option<u16> {
        if let Some(known) = self.scopes.get(self.scope)
            && Arc::ptr_eq(&known.0, arc)
        {
            return Some(known.1);
        }
        let hash = hash_scope(&self.hasher, arc);
        let &at = self.scopes_by_content.find(hash, |&at| {
            self.scopes.get(at as usize).is_some_and(|known| same(&known.0, arc))
        })?;
        self.scope = at as usize;
        self.scopes.get(self.scope).map(|known| known.1)
    }

    fn add_scope(&mut self, arc: &Arc<Scope>, row: u16) {
        let Known { scopes, scopes_by_content, hasher, .. } = self;
        self.scope = scopes.len();
        scopes.push((Arc::clone(arc), row));
        let hash = hash_scope(hasher, arc);
        scopes_by_content.insert_unique(hash, self.scope as u32, |&at| {
            scopes.get(at as usize).map_or(0, |known| hash_scope(hasher, &known.0))
        });
    }
}

impl BatchBuilder {
    /// Adds a whole event with its resource and scope (recognised if they are those of an earlier
    /// event). `Limit` or `Invalid` name the field; the builder is as before then. `sequence` and
    /// `received` are the store's and are not kept.
    pub fn push(&mut self, event: &Event) -> Result<()> {
        self.commit();
        let before = self.state;
        self.mark = Some(before);
        let added = self.push_parts(event);
        if added.is_err() {
            self.cancel_event();
            self.state = before;
        }
        self.commit();
        added
    }

    fn push_parts(&mut self, event: &Event) -> Result<()> {
        let resource = match self.pushed.find_resource(&event.resource, &event.source) {
            Some(resource) => resource,
            None => self.push_resource(event)?,
        };
        (self.state.resource, self.state.scope) = (Some(resource), None);
        if let Some(scope) = &event.scope {
            let row = match self.pushed.find_scope(scope) {
                Some(row) => row,
                None => self.push_scope(scope)?,
            };
            self.state.scope = Some(row);
        }
        self.put_event(&fields_of(event))?;
        self.push_attributes(&event.attributes)?;
        for link in &event.links {
            self.begin_link(&LinkFields {
                trace_id: link.trace_id,
                span_id: link.span_id,
                trace_state: &link.trace_state,
                dropped_attributes: link.dropped_attributes,
                flags: link.flags,
            })?;
            self.push_attributes(&link.attributes)?;
        }
        for span_event in &event.events {
            self.begin_span_event(&SpanEventFields {
                time: span_event.time,
                name: &span_event.name,
                dropped_attributes: span_event.dropped_attributes,
            })?;
            self.push_attributes(&span_event.attributes)?;
        }
        Ok(())
    }

    fn push_attributes(&mut self, attributes: &[Attribute]) -> Result<()> {
        attributes.iter().try_for_each(|a| self.attribute(&a.key, a.value.as_ref()))
    }

    fn push_resource(&mut self, event: &Event) -> Result<Resource> {
        let resource = self.put_resource(&ResourceFields {
            source: &event.source,
            schema_url: &event.resource.schema_url,
            dropped_attributes: event.resource.dropped_attributes,
        })?;
        self.push_attributes(&event.resource.attributes)?;
        // Its attributes may have named the source.
        let resource = Resource { provisional: None, ..self.state.resource.unwrap_or(resource) };
        self.pushed.add_resource(&event.resource, &event.source, resource);
        Ok(resource)
    }

    fn push_scope(&mut self, scope: &Arc<Scope>) -> Result<u16> {
        let row = self.put_scope(&ScopeFields {
            name: &scope.name,
            version: &scope.version,
            schema_url: &scope.schema_url,
            dropped_attributes: scope.dropped_attributes,
        })?;
        self.push_attributes(&scope.attributes)?;
        self.pushed.add_scope(scope, row);
        Ok(row)
    }
}

fn fields_of(event: &Event) -> EventFields<'_> {
    EventFields {
        time: event.time,
        time_absent: event.time_absent,
        observed: event.observed,
        signal: event.signal,
        event_type: &event.event_type,
        type_from_event_name: event.type_from_event_name,
        trace_id: event.trace_id,
        trace_id_64: event.trace_id_64,
        span_id: event.span_id,
        parent_span_id: event.parent_span_id,
        duration: event.duration,
        kind: event.kind,
        status: event.status,
        status_message: &event.status_message,
        trace_state: &event.trace_state,
        flags: event.flags,
        shared: event.shared,
        debug: event.debug,
        remote: event.remote.as_ref(),
        severity_number: event.severity_number,
        severity_text: &event.severity_text,
        body: event.body.as_ref().map(Value::as_ref),
        dropped_attributes: event.dropped_attributes,
        dropped_events: event.dropped_events,
        dropped_links: event.dropped_links,
    }
}

fn same<T: PartialEq>(a: &Arc<T>, b: &Arc<T>) -> bool {
    Arc::ptr_eq(a, b) || **a == **b
}

fn hash_resource(hasher: &RandomState, resource: &event::Resource, source: &str) -> u64 {
    let mut state = hasher.build_hasher();
    state.write(source.as_bytes());
    state.write(resource.schema_url.as_bytes());
    hash_attributes(&mut state, &resource.attributes);
    state.finish()
}

fn hash_scope(hasher: &RandomState, scope: &Scope) -> u64 {
    let mut state = hasher.build_hasher();
    state.write(scope.name.as_bytes());
    state.write(scope.version.as_bytes());
    hash_attributes(&mut state, &scope.attributes);
    state.finish()
}

fn hash_attributes(state: &mut impl Hasher, attributes: &[Attribute]) {
    for attribute in attributes {
        state.write(attribute.key.as_bytes());
        match &attribute.value {
            Value::Empty => state.write_u8(0),
            Value::String(text) => state.write(text.as_bytes()),
            Value::Int(number) => state.write_i64(*number),
            Value::Double(bits) => state.write_u64(bits.0),
            Value::Bool(flag) => state.write_u8(u8::from(*flag)),
            Value::Bytes(bytes) | Value::Nested(bytes) => state.write(bytes),
        }
    }
}
