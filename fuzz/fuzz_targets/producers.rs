//! See `annal_fuzz::producers`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| annal_fuzz::producers(data));
