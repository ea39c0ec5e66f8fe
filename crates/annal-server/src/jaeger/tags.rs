//! What a tag of a search means: `key=value`, both text, about one span.
//!
//! A tag holds if any attribute with this key has this value, as text: of the span, its resource, its
//! scope, its events or its links (Jaeger's reference: `internal/storage/v2/memory/tenant.go`). Some
//! keys stand for fields of the span, as results show them: `error`, `span.kind`, `otel.status_code`.
//! Beside what the key stands for an attribute of that name holds, too.

use annal::event::{Kind, Status};
use annal::query::{AttributeScope, Expr, Intrinsic, Literal, Operator, Reference};

/// The condition of a tag.
pub(super) fn tag(key: &str, value: &str) -> Expr {
    let mut any = anywhere(key, value);
    any.extend(field(key, value));
    if let Some(inner) = key.strip_prefix("resource.") {
        any.extend(attribute(AttributeScope::Resource, inner, value));
    }
    Expr::Any(any)
}

fn anywhere(key: &str, value: &str) -> Vec<Expr> {
    AttributeScope::ALL.iter().flat_map(|scope| attribute(*scope, key, value)).collect()
}

/// An attribute of whatever type that reads as the value.
fn attribute(scope: AttributeScope, key: &str, value: &str) -> Vec<Expr> {
    let is = |literal: Literal| {
        let reference = Reference::Attribute { scope: Some(scope), key: key.to_owned() };
        Expr::compare(reference, Operator::Equal, literal)
    };
    let mut any = vec![is(Literal::from(value))];
    if let Ok(int) = value.parse::<i64>() {
        any.push(is(Literal::Int(int)));
    } else if let Ok(float) = value.parse::<f64>()
        && float.is_finite()
    {
        any.push(is(Literal::Float(float)));
    }
    if let Ok(flag) = value.parse::<bool>() {
        any.push(is(Literal::Bool(flag)));
    }
    any
}

/// What a key stands for beside attributes of its name.
fn field(key: &str, value: &str) -> Option<Expr> {
    let is = |intrinsic, literal: Literal| {
        Expr::compare(Reference::Intrinsic(intrinsic), Operator::Equal, literal)
    };
    let status = |status: Status| is(Intrinsic::Status, status.into());
    match key {
        "error" => match value {
            "true" => Some(status(Status::Error)),
            "false" => Some(Expr::Not(Box::new(status(Status::Error)))),
            _ => None,
        },
        "span.kind" => {
            let kind = Kind::from_name(value).filter(|kind| *kind != Kind::Unspecified);
            kind.map(|kind| is(Intrinsic::Kind, kind.into()))
        }
        "span.status" | "otel.status_code" => {
            Status::from_name(&value.to_ascii_lowercase()).map(status)
        }
        "otel.status_description" => Some(is(Intrinsic::StatusMessage, value.into())),
        "scope.name" | "otel.scope.name" | "otel.library.name" => {
            Some(is(Intrinsic::InstrumentationName, value.into()))
        }
        "scope.version" | "otel.scope.version" | "otel.library.version" => {
            Some(is(Intrinsic::InstrumentationVersion, value.into()))
        }
        "w3c.tracestate" => Some(is(Intrinsic::TraceState, value.into())),
        "event" => Some(is(Intrinsic::EventName, value.into())),
        _ => None,
    }
}
