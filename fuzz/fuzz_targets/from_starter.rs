//! libFuzzer's program for the target `from_starter` of tests/fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(init: dc_libfuzzer::init("from_starter"), |data: &[u8]| dc_libfuzzer::run("from_starter", data));
