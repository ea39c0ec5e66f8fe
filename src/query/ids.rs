//! The ids of a frame's events: which trace each belongs to, which span it is, which span caused it.

use std::rc::Rc;

use crate::column::Ids;
use crate::error::Result;
use crate::query::ast::Intrinsic;
use crate::query::decoded::{Columns, Values};

/// The traces of the events; `None` if no event of the frame names one.
pub(super) fn traces(columns: &mut Columns<'_>) -> Result<Option<Rc<Ids<16>>>> {
    let Some(place) = columns.intrinsic(Intrinsic::TraceId).into_iter().next() else {
        return Ok(None);
    };
    match columns.column(place)?.values {
        Values::Ids16(ids) => Ok(Some(ids)),
        _ => Ok(None),
    }
}

/// The spans that the events are or belong to.
pub(super) fn spans(columns: &mut Columns<'_>) -> Result<Option<Rc<Ids<8>>>> {
    short(columns, Intrinsic::SpanId)
}

/// The spans that caused the events.
pub(super) fn parents(columns: &mut Columns<'_>) -> Result<Option<Rc<Ids<8>>>> {
    short(columns, Intrinsic::ParentSpanId)
}

fn short(columns: &mut Columns<'_>, intrinsic: Intrinsic) -> Result<Option<Rc<Ids<8>>>> {
    let Some(place) = columns.intrinsic(intrinsic).into_iter().next() else {
        return Ok(None);
    };
    match columns.column(place)?.values {
        Values::Ids8(ids) => Ok(Some(ids)),
        _ => Ok(None),
    }
}
