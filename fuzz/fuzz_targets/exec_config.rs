//! libFuzzer's program for the target `exec_config` of tests/fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(init: dc_libfuzzer::init("exec_config"), |data: &[u8]| dc_libfuzzer::run("exec_config", data));
