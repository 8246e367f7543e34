//! libFuzzer's program for the target `to_starter` of tests/fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(init: dc_libfuzzer::init("to_starter"), |data: &[u8]| dc_libfuzzer::run("to_starter", data));
