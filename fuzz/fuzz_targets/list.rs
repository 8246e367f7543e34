//! libFuzzer's program for the target `list` of tests/fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(init: dc_libfuzzer::init("list"), |data: &[u8]| dc_libfuzzer::run("list", data));
