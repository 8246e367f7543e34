//! libFuzzer's program for the target `data` of tests/fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(init: dc_libfuzzer::init("data"), |data: &[u8]| dc_libfuzzer::run("data", data));
