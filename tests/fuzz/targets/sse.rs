//! libFuzzer's way into `personaroute_fuzz::sse`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| personaroute_fuzz::sse::hold(input));
