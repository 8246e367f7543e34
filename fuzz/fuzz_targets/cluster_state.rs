//! libFuzzer's program for the target `cluster_state` of tests/fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(init: dc_libfuzzer::init("cluster_state"), |data: &[u8]| dc_libfuzzer::run("cluster_state", data));
