//! What libFuzzer's programs share: a target is found once by its name, and run within its limits of memory and time.

use std::path::Path;
use std::sync::OnceLock;

/// Puts the target's own seeds into the directory that `DC_FUZZ_SEEDS` names, before libFuzzer reads it.
///
/// # Panics
/// When they cannot be written.
pub fn init(name: &str) {
    let Some(dir) = std::env::var_os("DC_FUZZ_SEEDS") else { return };
    for (index, seed) in (target(name).seeds)().iter().enumerate() {
        std::fs::write(Path::new(&dir).join(format!("seed-{index}")), seed).expect("a seed can be written");
    }
}

/// Runs one input.
///
/// # Panics
/// When a promise is broken, which is what libFuzzer looks for.
pub fn run(name: &str, data: &[u8]) {
    static TARGET: OnceLock<&dc_fuzz::Target> = OnceLock::new();
    dc_fuzz::run_guarded(TARGET.get_or_init(|| target(name)), data);
}

fn target(name: &str) -> &'static dc_fuzz::Target {
    dc_fuzz::target(name).expect("a target of that name")
}
