//! libFuzzer's program for the target `domain` of tests/fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(init: dc_libfuzzer::init("domain"), |data: &[u8]| dc_libfuzzer::run("domain", data));
