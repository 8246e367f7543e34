//! libFuzzer's program for the target `claim` of tests/fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(init: dc_libfuzzer::init("claim"), |data: &[u8]| dc_libfuzzer::run("claim", data));
