//! libFuzzer's program for the target `frames` of tests/fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(init: dc_libfuzzer::init("frames"), |data: &[u8]| dc_libfuzzer::run("frames", data));
