//! libFuzzer's program for the target `exec_request` of tests/fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(init: dc_libfuzzer::init("exec_request"), |data: &[u8]| dc_libfuzzer::run("exec_request", data));
