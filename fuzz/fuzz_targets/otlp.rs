//! See `annal_fuzz::otlp`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| annal_fuzz::otlp(data));
