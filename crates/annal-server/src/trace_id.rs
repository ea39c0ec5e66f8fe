//! Trace ids as people and other tools write them, in URLs and on the command line.

use annal::TraceId;

/// Hex: 32 digits, or 16 for ids of 64 bits, which are kept behind zeroes.
pub(crate) fn parse(hex: &str) -> Option<TraceId> {
    match hex.len() {
        16 => TraceId::from_hex(&format!("{hex:0>32}")),
        _ => TraceId::from_hex(hex),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_32_digits_or_16() {
        let long = parse("00000000000000000102030405060708");
        assert_eq!(long, Some(TraceId(0x0102_0304_0506_0708u128.to_be_bytes())));
        assert_eq!(parse("0102030405060708"), long);
        for bad in ["", "01", "010203040506070", "010203040506070g", "xyz"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
