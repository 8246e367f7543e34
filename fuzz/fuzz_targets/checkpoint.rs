//! libFuzzer's program for the target `checkpoint` of tests/fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(init: dc_libfuzzer::init("checkpoint"), |data: &[u8]| dc_libfuzzer::run("checkpoint", data));
