//! libFuzzer's program for the target `job` of tests/fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(init: dc_libfuzzer::init("job"), |data: &[u8]| dc_libfuzzer::run("job", data));
