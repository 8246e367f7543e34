//! libFuzzer's program for the target `journal_damage` of tests/fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(init: dc_libfuzzer::init("journal_damage"), |data: &[u8]| dc_libfuzzer::run("journal_damage", data));
