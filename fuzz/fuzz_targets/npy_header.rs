//! libFuzzer's program for the target `npy_header` of tests/fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(init: dc_libfuzzer::init("npy_header"), |data: &[u8]| dc_libfuzzer::run("npy_header", data));
