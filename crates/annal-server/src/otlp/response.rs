//! What OTLP clients are answered: `Export*ServiceResponse` and `google.rpc.Status`, in protobuf.
//! Traces and logs number the fields of their responses alike.

use annal::ErrorKind;

use super::Rejections;

/// Bytes of an error message: clients read little of an answer, and log it.
const MESSAGE_BYTES_MAX: usize = 1_000;

/// The response to a request that was stored but for these: empty if nothing was refused.
#[must_use]
pub fn partial_success(rejections: &Rejections) -> Vec<u8> {
    if rejections.is_empty() {
        return Vec::new();
    }
    let mut partial = vec![1 << 3];
    put_varint(&mut partial, rejections.events);
    put_text(&mut partial, 2, &cut(&rejections.messages.join("; ")));
    let mut response = vec![1 << 3 | 2];
    put_varint(&mut response, partial.len() as u64);
    response.extend_from_slice(&partial);
    response
}

/// A `google.rpc.Status` that says what was wrong.
#[must_use]
pub fn status(kind: ErrorKind, message: &str) -> Vec<u8> {
    let mut status = vec![1 << 3];
    put_varint(&mut status, rpc_code(kind));
    put_text(&mut status, 2, &cut(message));
    status
}

/// `google.rpc.Code` of a kind.
fn rpc_code(kind: ErrorKind) -> u64 {
    match kind {
        ErrorKind::Cancelled => 1,
        ErrorKind::Invalid => 3,
        ErrorKind::Deadline => 4,
        ErrorKind::Limit | ErrorKind::Busy | ErrorKind::Full => 8,
        ErrorKind::OutOfSequence | ErrorKind::Fenced => 9,
        ErrorKind::Unsupported => 12,
        ErrorKind::Corrupt => 15,
        _ => 14,
    }
}

fn cut(message: &str) -> String {
    let end = message.floor_char_boundary(MESSAGE_BYTES_MAX);
    match message.get(..end) {
        Some(start) if end < message.len() => format!("{start}..."),
        _ => message.to_owned(),
    }
}

fn put_text(out: &mut Vec<u8>, field: u8, text: &str) {
    out.push(field << 3 | 2);
    put_varint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

fn put_varint(out: &mut Vec<u8>, value: u64) {
    annal::codec::put_varint(out, value);
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
    use prost::Message as _;

    use super::*;

    #[test]
    fn a_full_success_is_an_empty_message() {
        assert!(partial_success(&Rejections::default()).is_empty());
    }

    #[test]
    fn a_partial_success_counts_and_names_what_was_refused_within_its_bounds() {
        let mut rejections = Rejections::default();
        rejections.add("time", 300, || "span 3: time".into());
        rejections.add("Limit", 1, || "é".repeat(5_000));
        let response = partial_success(&rejections);
        assert!(response.len() < MESSAGE_BYTES_MAX + 20);
        let response = ExportTraceServiceResponse::decode(&response[..]).unwrap();
        let partial = response.partial_success.unwrap();
        assert_eq!(partial.rejected_spans, 301);
        assert!(partial.error_message.starts_with("span 3: time; é"));
    }
}
