//! libFuzzer's program for the target `cost` of tests/fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(init: dc_libfuzzer::init("cost"), |data: &[u8]| dc_libfuzzer::run("cost", data));
