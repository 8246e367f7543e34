//! libFuzzer's program for the target `header` of tests/fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(init: dc_libfuzzer::init("header"), |data: &[u8]| dc_libfuzzer::run("header", data));
