//! See `annal_fuzz::encodings`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| annal_fuzz::encodings(data));
