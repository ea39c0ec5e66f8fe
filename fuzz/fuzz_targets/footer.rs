//! See `annal_fuzz::footer`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| annal_fuzz::footer(data));
