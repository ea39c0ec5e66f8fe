//! Which span stands under which. Ids come from outside: parents may be missing, ids may repeat,
//! and parents may lead in a circle; still every span stands exactly once.

use std::collections::{HashMap, HashSet};

use annal::event::{Signal, SpanId};
use annal::{Event, TraceId};

/// Why a span stands where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It has no parent.
    Root,
    /// Under its parent.
    Child,
    /// Its parent is not among the spans: a root.
    Orphan,
    /// Its ancestors lead back to it: the earliest of such a circle is a root.
    Cycle,
}

/// A span and what belongs to it.
#[derive(Debug)]
pub(super) struct Node<'a> {
    pub(super) span: &'a Event,
    pub(super) place: Place,
    /// An earlier span has the same id; children and logs stand under that one.
    pub(super) repeats: bool,
    /// Indexes of nodes, by time.
    pub(super) children: Vec<usize>,
    /// Logs and plain events, by time.
    pub(super) logs: Vec<&'a Event>,
}

/// All spans of a trace.
#[derive(Debug)]
pub(super) struct Shape<'a> {
    /// By time.
    pub(super) nodes: Vec<Node<'a>>,
    /// Indexes of nodes, by time.
    pub(super) roots: Vec<usize>,
    /// What belongs to no span of the trace, by time.
    pub(super) loose: Vec<&'a Event>,
    by_id: HashMap<SpanId, usize>,
}

impl<'a> Shape<'a> {
    /// Orders the events of a trace. Spans of other traces that only link to it stand as roots.
    pub(super) fn new(trace: TraceId, events: &'a [Event]) -> Shape<'a> {
        let mut ordered: Vec<&Event> = events.iter().collect();
        ordered.sort_by_key(|e| (e.time, e.sequence));
        let (spans, others): (Vec<&Event>, Vec<&Event>) =
            ordered.into_iter().partition(|e| e.signal == Signal::Span);
        let mut shape = Shape {
            nodes: Vec::with_capacity(spans.len()),
            roots: Vec::new(),
            loose: Vec::new(),
            by_id: HashMap::with_capacity(spans.len()),
        };
        for (index, span) in spans.into_iter().enumerate() {
            let id = span.span_id.filter(|_| span.trace_id == Some(trace));
            let first = id.map(|id| *shape.by_id.entry(id).or_insert(index));
            let repeats = first.is_some_and(|first| first != index);
            let (children, logs) = (Vec::new(), Vec::new());
            shape.nodes.push(Node { span, place: Place::Child, repeats, children, logs });
        }
        let parents = shape.adopt();
        shape.break_circles(&parents);
        shape.roots.sort_unstable();
        for other in others {
            match shape.find(other.span_id).and_then(|index| shape.nodes.get_mut(index)) {
                Some(node) => node.logs.push(other),
                None => shape.loose.push(other),
            }
        }
        shape
    }

    /// The node of a span id.
    pub(super) fn find(&self, id: Option<SpanId>) -> Option<usize> {
        self.by_id.get(&id?).copied()
    }

    /// Puts each span under its parent or among the roots; gives each one's parent.
    fn adopt(&mut self) -> Vec<Option<usize>> {
        let mut parents = vec![None; self.nodes.len()];
        for index in 0..self.nodes.len() {
            let Some(node) = self.nodes.get(index) else { continue };
            let wanted = node.span.parent_span_id;
            let parent = self.find(wanted);
            let place = match (wanted, parent) {
                (None, _) => Place::Root,
                (Some(_), None) => Place::Orphan,
                (Some(_), Some(parent)) if parent == index => Place::Cycle,
                (Some(_), Some(_)) => Place::Child,
            };
            if let Some(node) = self.nodes.get_mut(index) {
                node.place = place;
            }
            match parent.filter(|_| place == Place::Child) {
                Some(parent) => {
                    if let Some(slot) = parents.get_mut(index) {
                        *slot = Some(parent);
                    }
                    if let Some(node) = self.nodes.get_mut(parent) {
                        node.children.push(index);
                    }
                }
                None => self.roots.push(index),
            }
        }
        parents
    }

    /// Spans that no root leads to go round in circles: the earliest of each circle becomes a root.
    fn break_circles(&mut self, parents: &[Option<usize>]) {
        let mut reached = vec![false; self.nodes.len()];
        let mut stack = self.roots.clone();
        let mut next = 0;
        loop {
            while let Some(index) = stack.pop() {
                if let Some(seen) = reached.get_mut(index) {
                    *seen = true;
                }
                stack.extend(self.nodes.get(index).iter().flat_map(|node| &node.children));
            }
            let Some(lost) = (next..reached.len()).find(|&i| reached.get(i) == Some(&false)) else {
                return;
            };
            next = lost + 1;
            let root = earliest_of_circle(lost, parents);
            let parent = parents.get(root).copied().flatten();
            if let Some(parent) = parent.and_then(|p| self.nodes.get_mut(p)) {
                parent.children.retain(|&child| child != root);
            }
            if let Some(node) = self.nodes.get_mut(root) {
                node.place = Place::Cycle;
            }
            self.roots.push(root);
            stack.push(root);
        }
    }
}

/// Follows the parents of a lost span until they repeat; gives the earliest on the circle. All
/// spans on the way are reached from the circle afterwards, so all walks together are as long as
/// the trace.
fn earliest_of_circle(lost: usize, parents: &[Option<usize>]) -> usize {
    let parent = |index: usize| parents.get(index).copied().flatten().unwrap_or(index);
    let mut walked = HashSet::new();
    let mut on_circle = lost;
    while walked.insert(on_circle) {
        on_circle = parent(on_circle);
    }
    let mut earliest = on_circle;
    let mut index = parent(on_circle);
    while index != on_circle {
        earliest = earliest.min(index);
        index = parent(index);
    }
    earliest
}
