//! libFuzzer's program for the target `journal` of tests/fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(init: dc_libfuzzer::init("journal"), |data: &[u8]| dc_libfuzzer::run("journal", data));
