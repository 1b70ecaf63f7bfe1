//! libFuzzer's way into `personaroute_fuzz::config`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| personaroute_fuzz::config::hold(input));
