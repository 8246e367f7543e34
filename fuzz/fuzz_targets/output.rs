//! libFuzzer's program for the target `output` of tests/fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(init: dc_libfuzzer::init("output"), |data: &[u8]| dc_libfuzzer::run("output", data));
