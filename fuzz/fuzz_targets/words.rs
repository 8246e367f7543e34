//! libFuzzer's program for the target `words` of tests/fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(init: dc_libfuzzer::init("words"), |data: &[u8]| dc_libfuzzer::run("words", data));
