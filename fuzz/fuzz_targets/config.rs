//! libFuzzer's program for the target `config` of tests/fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(init: dc_libfuzzer::init("config"), |data: &[u8]| dc_libfuzzer::run("config", data));
