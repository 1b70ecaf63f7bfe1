//! libFuzzer's way into `personaroute_fuzz::body`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| personaroute_fuzz::body::hold(input));
