//! libFuzzer's program for the target `cluster_messages` of tests/fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(init: dc_libfuzzer::init("cluster_messages"), |data: &[u8]| dc_libfuzzer::run("cluster_messages", data));
