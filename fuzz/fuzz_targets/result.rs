//! libFuzzer's program for the target `result` of tests/fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(init: dc_libfuzzer::init("result"), |data: &[u8]| dc_libfuzzer::run("result", data));
