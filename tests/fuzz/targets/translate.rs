//! libFuzzer's way into `personaroute_fuzz::translate`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| personaroute_fuzz::translate::hold(input));
