//! See `annal_fuzz::sections`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| annal_fuzz::sections(data));
