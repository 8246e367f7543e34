//! libFuzzer's program for the target `pattern` of tests/fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(init: dc_libfuzzer::init("pattern"), |data: &[u8]| dc_libfuzzer::run("pattern", data));
