//! libFuzzer's program for the target `elf` of tests/fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(init: dc_libfuzzer::init("elf"), |data: &[u8]| dc_libfuzzer::run("elf", data));
